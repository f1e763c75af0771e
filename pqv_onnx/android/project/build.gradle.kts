plugins {
    alias(libs.plugins.android.application) apply false
}

tasks.wrapper {
    gradleVersion = "9.1.0"
}
