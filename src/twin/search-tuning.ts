/** The figures of a search in one place; tests use smaller ones. */
export interface SearchTuning {
  /** Answers to a datagram are spread over a window that grows with the number of members asked: 2.2 ms for 2, 22 ms for 200. */
  readonly jitterMsMin: number;
  readonly jitterMsPerMember: number;
  readonly jitterMsMax: number;
  /** How long answers to a datagram are awaited after that window. */
  readonly multicastWaitMs: number;
  /** The same, once an answer has come that is enough. */
  readonly settleMs: number;
  /** One question point to point; so many at once. */
  readonly pointToPointMs: number;
  readonly pointToPointAtOnce: number;
  /** Asking one center, both transports together. */
  readonly stepMs: number;
  /** Datagrams with a known nonce that an asker looks at; a burst may be as many. */
  readonly answersPerSecondMax: number;
  /** Datagrams that a member looks at, whoever sent them. */
  readonly questionsPerSecondMax: number;
  /** Questions that a member remembers, so that none is answered twice. */
  readonly noncesMax: number;
  /** How far the clocks of asker and member may differ; a question is void afterwards. */
  readonly skewMs: number;
}

export const SEARCH_TUNING: SearchTuning = {
  jitterMsMin: 2,
  jitterMsPerMember: 0.1,
  jitterMsMax: 100,
  multicastWaitMs: 150,
  settleMs: 5,
  pointToPointMs: 700,
  pointToPointAtOnce: 64,
  stepMs: 1_000,
  answersPerSecondMax: 20_000,
  questionsPerSecondMax: 1_000,
  noncesMax: 65_536,
  skewMs: 30_000,
};

const { jitterMsMax, multicastWaitMs, pointToPointMs, stepMs, questionsPerSecondMax, noncesMax, skewMs } =
  SEARCH_TUNING;
if (jitterMsMax + multicastWaitMs + pointToPointMs > stepMs) {
  throw new Error('both transports must fit into one step');
}
if ((questionsPerSecondMax * 2 * skewMs) / 1_000 > noncesMax) {
  throw new Error('a member must remember every question that is still valid');
}

export const jitterWindowMs = (members: number, tuning: SearchTuning): number =>
  Math.min(tuning.jitterMsMax, tuning.jitterMsMin + members * tuning.jitterMsPerMember);
