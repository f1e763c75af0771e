// For Python under emulation: what runs between the two calls is a region of block_count.c.

void Begin(void) { __asm__ volatile("hint #0x7e" ::: "memory"); }
void End(void) { __asm__ volatile("hint #0x7f" ::: "memory"); }
