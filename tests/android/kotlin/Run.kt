package org.example.myapp

import kotlin.system.exitProcess
import org.junit.runner.Description
import org.junit.runner.JUnitCore
import org.junit.runner.notification.Failure
import org.junit.runner.notification.RunListener
import org.robolectric.RobolectricTestRunner

/** Runs classes of tests, named by the arguments, under Robolectric; prints a line for each test. */
fun main(names: Array<String>) {
    val core = JUnitCore()
    core.addListener(Lines())
    for (name in names) core.run(RobolectricTestRunner(Class.forName(name)))
    exitProcess(0) // whatever threads a test has left
}

private class Lines : RunListener() {
    private var failed = false
    private var began = 0L

    override fun testStarted(test: Description) {
        failed = false
        began = System.nanoTime()
    }

    override fun testFailure(failure: Failure) {
        failed = true
        println(failure.trace)
    }

    override fun testFinished(test: Description) {
        val verdict = if (failed) "FAILED" else "passed"
        val name = "${test.testClass.simpleName}.${test.methodName}"
        println("%s %s %.1f s".format(verdict, name, 1e-9 * (System.nanoTime() - began)))
    }
}
