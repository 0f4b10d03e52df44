/** What is counted about one S3 request when its response has ended: said by s3api, counted by admin's metrics. */
export interface RequestRecord {
  /** S3's name of the operation, e.g. `PutObject`; `Unknown` when no row matched. */
  readonly operation: string;
  /** HTTP status sent; 0 when the connection was cut before or inside the answer. */
  readonly status: number;
  readonly durationMs: number;
  /** Body bytes taken from and sent to the client. */
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export type RequestObserver = (record: RequestRecord) => void;
