/**
 * Storage classes. Every object is kept in the same way whatever its class: a class is a record, shown to clients, and
 * where lifecycle rules move objects to. They are declared in an order, from the warmest to the coldest; rules move objects
 * in that direction alone.
 */

export const STANDARD = 'STANDARD';
/** What `antipode start` takes; `storageClasses` in the settings names others. */
export const STORAGE_CLASSES: readonly string[] = [
  STANDARD,
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'INTELLIGENT_TIERING',
  'ONEZONE_IA',
  'GLACIER_IR',
];
/** Objects of these have to be restored before they can be read, or live elsewhere: that is not built. */
export const UNSUPPORTED_CLASSES: ReadonlySet<string> = new Set([
  'GLACIER',
  'DEEP_ARCHIVE',
  'OUTPOSTS',
  'SNOW',
  'EXPRESS_ONEZONE',
  'FSX_OPENZFS',
  'FSX_ONTAP',
]);

/** How cold it is; -1 for one that is not declared (any more). */
export const rankOf = (classes: readonly string[], storageClass: string): number =>
  classes.indexOf(storageClass);
