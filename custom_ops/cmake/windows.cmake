# Windows on x86-64, cross-compiled.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR AMD64)
set(PQV_ZIG_TARGET x86_64-windows-gnu)
# CMake's own list is for programs with windows.
set(CMAKE_C_STANDARD_LIBRARIES "" CACHE STRING "")
set(CMAKE_CXX_STANDARD_LIBRARIES "" CACHE STRING "")
include(${CMAKE_CURRENT_LIST_DIR}/zig.cmake)
