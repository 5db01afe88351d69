/** One of several steps that take their turn together; it settles by itself. */
export interface Joined {
  /** Must not reject: what goes wrong goes to the caller that asked for this step. */
  run(): Promise<void>;
  reject(error: unknown): void;
}

/** What frames the steps that take a turn together. */
export interface Turn<Work extends Joined> {
  /** Opens the turn, with all of them. */
  before(works: readonly Work[]): Promise<void>;
  /** Ends it. Must not reject. */
  after(): Promise<void>;
}
