/**
 * Answers that mostly come at once and may take minutes. While it is quick, the answer has its own status and headers
 * (a version id is known only after the commit); past the patience the pipeline sends 200 and white space, and the
 * result or the error follows in the body, as S3 does for Complete and Copy.
 */
import { type Clock, OVER } from '../../base/clock.ts';
import type { OperationResult } from '../operation.ts';

/** Clients commonly wait 60 s for the first byte. */
const PATIENCE_MS = 10_000;

export interface XmlAnswer {
  readonly headers: OperationResult['headers'];
  readonly body: string;
}

/** @param work already started; its rejection within the patience is thrown, later it is the slow body's */
export async function answerInTime(clock: Clock, work: Promise<XmlAnswer>): Promise<OperationResult> {
  const patience = new AbortController();
  const late = clock.sleep(PATIENCE_MS, patience.signal).then(
    () => null,
    () => null,
  );
  try {
    const answer = await Promise.race([work, late]);
    if (answer !== null) return { status: 200, ...definedHeaders(answer), body: answer.body };
  } finally {
    patience.abort(OVER);
  }
  return { status: 200, slowBody: work.then((answer) => answer.body) };
}

const definedHeaders = ({ headers }: XmlAnswer) => (headers === undefined ? {} : { headers });
