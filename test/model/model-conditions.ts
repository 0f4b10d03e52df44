/** Conditional writes as the model has them. Null: the condition holds. */
import type { CommitRefusal, ObjectVersion, WriteCondition } from '../../src/ddm/catalog.ts';

type Subject = Pick<ObjectVersion, 'isDeleteMarker' | 'etag' | 'size' | 'lastModified'>;

/** The condition of a PUT, copy or Complete, against the latest version. */
export function checkWrite(
  condition: WriteCondition | undefined,
  latest: Subject | undefined,
): CommitRefusal | null {
  const current = latest === undefined || latest.isDeleteMarker ? null : latest;
  const { ifMatch, ifNoneMatch } = condition ?? {};
  if (ifMatch !== undefined) {
    if (current === null) return 'no-such-key';
    if (ifMatch !== '*' && ifMatch !== current.etag) return 'precondition-failed';
  }
  if (ifNoneMatch !== undefined && current !== null) {
    if (ifNoneMatch === '*' || ifNoneMatch === current.etag) return 'precondition-failed';
  }
  return null;
}

/** The condition of a DELETE, against the row that it would act on; a delete marker is a row with the ETag ''. */
export function checkDelete(condition: WriteCondition, row: Subject): CommitRefusal | null {
  const { ifMatch, ifMatchLastModified, ifMatchSize } = condition;
  if (ifMatch !== undefined && ifMatch !== '*' && ifMatch !== row.etag) return 'precondition-failed';
  if (ifMatchSize !== undefined && ifMatchSize !== row.size) return 'precondition-failed';
  const seconds = (date: Date) => Math.floor(date.getTime() / 1000);
  if (ifMatchLastModified !== undefined && seconds(ifMatchLastModified) !== seconds(row.lastModified))
    return 'precondition-failed';
  return null;
}
