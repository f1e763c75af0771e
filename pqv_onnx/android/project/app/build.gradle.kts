plugins {
    alias(libs.plugins.android.application)
}

android {
    namespace = "@@{package}"
    compileSdk = 36

    defaultConfig {
        applicationId = "@@{package}"
        minSdk = 24
        targetSdk = 36
        versionCode = 1
        versionName = "1.0"
        testInstrumentationRunner = "androidx.test.runner.AndroidJUnitRunner"
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            isShrinkResources = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    androidResources {
        // A model of integer weights hardly shrinks, and opens faster as it is.
        noCompress += "onnx"
    }
}

dependencies {
    // Brings onnxruntime, and libpqv_ops.so for arm64-v8a. Other processors run the same model, to
    // the same bits, on onnxruntime alone.
    implementation(libs.pqv.android)

    androidTestImplementation(libs.junit)
    androidTestImplementation(libs.test.runner)
}
