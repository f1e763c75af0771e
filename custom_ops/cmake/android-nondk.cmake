# Android on arm64 without an NDK: any clang and lld, the prototypes in nondk/include, and libraries
# to link with that have the names of Android's and no content, as the NDK's have.
#
# CMAKE_SYSTEM_NAME stays Linux, because CMake asks for an NDK where it is Android.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(PQV_ANDROID ON)

find_program(PQV_CLANG NAMES clang-20 clang-19 clang-18 clang)
find_program(PQV_CLANGXX NAMES clang++-20 clang++-19 clang++-18 clang++)
find_program(PQV_LLD NAMES ld.lld-20 ld.lld-19 ld.lld-18 ld.lld)
if(NOT PQV_CLANG OR NOT PQV_CLANGXX OR NOT PQV_LLD)
  message(FATAL_ERROR "clang and lld not found, expected on the PATH (18 or newer): "
                      "Debian and Ubuntu have them in the packages clang-19 and lld-19")
endif()
set(CMAKE_C_COMPILER ${PQV_CLANG})
set(CMAKE_CXX_COMPILER ${PQV_CLANGXX})
set(CMAKE_C_COMPILER_TARGET aarch64-linux-android24)
set(CMAKE_CXX_COMPILER_TARGET aarch64-linux-android24)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)

set(PQV_NONDK ${CMAKE_CURRENT_LIST_DIR}/nondk)
set(CMAKE_C_FLAGS_INIT "-nostdlibinc -isystem ${PQV_NONDK}/include -fstack-protector-strong")
set(CMAKE_CXX_FLAGS_INIT "-nostdinc++ ${CMAKE_C_FLAGS_INIT}")

set(PQV_STUBS ${CMAKE_BINARY_DIR}/stubs)
set(link_flags "-nostdlib --ld-path=${PQV_LLD} -L${PQV_STUBS}")
set(CMAKE_MODULE_LINKER_FLAGS_INIT "${link_flags}")
# The program starts where Android's own startup code has it start.
set(CMAKE_EXE_LINKER_FLAGS_INIT "${link_flags} -pie ${PQV_STUBS}/start.o")
set(CMAKE_C_STANDARD_LIBRARIES_INIT "-lc")

get_property(is_try_compile GLOBAL PROPERTY IN_TRY_COMPILE)
if(NOT is_try_compile)
  set(compile ${PQV_CLANG} --target=${CMAKE_C_COMPILER_TARGET} -nostdlib)
  foreach(library libc libm libdl)
    set(assembly ".text\n")
    file(STRINGS ${PQV_NONDK}/${library}.symbols symbols)
    foreach(symbol IN LISTS symbols)
      string(REGEX MATCH "^data (.*)" is_data ${symbol})
      if(is_data)
        string(APPEND assembly ".data\n.globl ${CMAKE_MATCH_1}\n.type ${CMAKE_MATCH_1}, %object\n"
                               "${CMAKE_MATCH_1}: .xword 0\n.size ${CMAKE_MATCH_1}, 8\n.text\n")
      else()
        string(APPEND assembly ".globl ${symbol}\n.type ${symbol}, %function\n${symbol}: ret\n")
      endif()
    endforeach()
    file(WRITE ${PQV_STUBS}/${library}.S "${assembly}")
    execute_process(
      COMMAND ${compile} -shared --ld-path=${PQV_LLD} -Wl,-soname,${library}.so
              ${PQV_STUBS}/${library}.S -o ${PQV_STUBS}/${library}.so COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
  execute_process(COMMAND ${compile} -O2 -fPIE -c ${PQV_NONDK}/start.c -o ${PQV_STUBS}/start.o
                          COMMAND_ERROR_IS_FATAL ANY)
endif()
