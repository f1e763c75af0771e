# Android on arm64, by the NDK that ANDROID_NDK_HOME names.
set(PQV_NDK_TOOLCHAIN "$ENV{ANDROID_NDK_HOME}/build/cmake/android.toolchain.cmake")
if(NOT EXISTS "${PQV_NDK_TOOLCHAIN}")
  message(FATAL_ERROR "ANDROID_NDK_HOME='$ENV{ANDROID_NDK_HOME}' names no Android NDK: set it to an "
                      "NDK of r26 or newer, or use the preset android-nondk, which needs none")
endif()
set(ANDROID_ABI arm64-v8a)
set(ANDROID_PLATFORM android-24)
# Its headers are used; nothing of it is linked.
set(ANDROID_STL c++_static)
set(PQV_ANDROID ON)
include("${PQV_NDK_TOOLCHAIN}")
