# The compiler of zig, which brings the headers and libraries of other systems along. PQV_ZIG names the
# program, as in the Python package ziglang; else it is on the PATH.
if(DEFINED ENV{PQV_ZIG})
  set(PQV_ZIG $ENV{PQV_ZIG})
else()
  find_program(PQV_ZIG zig)
endif()
if(NOT PQV_ZIG)
  message(FATAL_ERROR "zig not found, expected on the PATH or named by PQV_ZIG: "
                      "the Python package ziglang has it")
endif()
set(CMAKE_C_COMPILER ${PQV_ZIG} cc)
set(CMAKE_CXX_COMPILER ${PQV_ZIG} c++)
# Linking a C++ program would build a C++ runtime, which the library does without.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_RC_COMPILER ${PQV_ZIG}) # CMake wants one, and has no use for it
set(CMAKE_C_COMPILER_TARGET ${PQV_ZIG_TARGET})
set(CMAKE_CXX_COMPILER_TARGET ${PQV_ZIG_TARGET})
set(CMAKE_SHARED_LINKER_FLAGS_INIT -s)
set(CMAKE_MODULE_LINKER_FLAGS_INIT -s)
