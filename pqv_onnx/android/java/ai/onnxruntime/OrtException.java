package ai.onnxruntime;

/** Stands in for onnxruntime's class while pqv's classes are compiled; it is not packed. */
public class OrtException extends Exception {}
