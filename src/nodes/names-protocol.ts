/** What nodes know beside blobs: whose they are. */

/** All reject with NodeError. */
export interface NodeNames {
  /**
   * Remembers whose blobs the node keeps, durably. From then on it removes nothing for anybody who names another catalog.
   * Refused (`conflict`) where it remembers another one, unless that one is named in `instead`.
   */
  adoptCatalog(id: string, instead?: string): Promise<void>;
}
