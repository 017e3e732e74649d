/** A party that runs in this process. */
export interface Running {
  readonly address: string;
  stop(): Promise<void>;
}
