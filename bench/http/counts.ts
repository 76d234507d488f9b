// What the measured Worker has called, as its counting entrypoint tells it.

export interface Counts {
  readonly kvReads: number;
  readonly objectCalls: number;
}
