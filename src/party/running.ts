/** A party that runs in this process. */
export interface Running {
  /** host:port that it has bound. */
  readonly address: string;
  stop(): Promise<void>;
}
