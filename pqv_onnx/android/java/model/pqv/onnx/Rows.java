package pqv.onnx;

/** An image that is read row by row, so that large ones need not lie in memory once more. */
interface Rows {
  int width();

  int height();

  /** Bytes of a pixel: 3 for red, green and blue, 1 for grey. */
  int channels();

  /**
   * Reads a row; no row is asked for that is above one that was read.
   *
   * @param y the row, from 0 at the top.
   * @param row gets width x channels bytes.
   */
  void read(int y, byte[] row);
}
