pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}

dependencyResolutionManagement {
    repositories {
        google()
        mavenCentral()
        // pqv-android, which came with this project.
        maven(uri("repository"))
    }
}

rootProject.name = "@@{project}"
include(":app")
