/** One stage of the pipeline, measured alone. */
export interface MicroTask {
  readonly name: string;
  readonly unit: 'MB/s' | 'items/s';
  /** Makes what it works on; not measured. */
  open(): Promise<OpenTask>;
}

export interface OpenTask {
  /**
   * Does the work once, some tenths of a second of it, and gives the bytes or items that went
   * through.
   */
  run(): number | Promise<number>;
  close?(): Promise<void> | void;
}
