package ai.onnxruntime;

/** Stands in for onnxruntime's class while PqvOps is compiled; it is not packed. */
public class OrtException extends Exception {}
