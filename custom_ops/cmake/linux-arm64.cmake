# Linux on arm64, cross-compiled with the GNU compiler that Debian and Ubuntu package.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
find_program(PQV_ARM64_CC aarch64-linux-gnu-gcc)
find_program(PQV_ARM64_CXX aarch64-linux-gnu-g++)
if(NOT PQV_ARM64_CC OR NOT PQV_ARM64_CXX)
  message(FATAL_ERROR "aarch64-linux-gnu-g++ not found, expected on the PATH: "
                      "Debian and Ubuntu have it in the package g++-aarch64-linux-gnu")
endif()
set(CMAKE_C_COMPILER ${PQV_ARM64_CC})
set(CMAKE_CXX_COMPILER ${PQV_ARM64_CXX})
