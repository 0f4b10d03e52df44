/**
 * What a gateway's monitor concludes from what it sees: which changes of condition to ask the root for, and what to tell
 * a member that is not as the record says. Pure; the record decides by compare-and-set, so a wrong conclusion of one
 * gateway cannot take out both members of a pair.
 */
import type { Epoch, MemberId, PairId } from '../base/ids.ts';
import type { Conditions, MemberCondition, RecordedState } from './condition.ts';
import type { Pulse } from './suspicion.ts';

/** How a member stands by its own word. `fenced` takes no data request: so it starts, and so it is while failed over. */
export type Stance = 'fenced' | 'resyncing' | 'serving';

/** What a member answered to a probe. */
export interface Heard {
  readonly state?: Stance;
  readonly epoch?: Epoch;
  /** Of its data folder: random, made with it. */
  readonly storeId?: string;
  /** Why it must not be admitted, whatever the record says of it. */
  readonly foreign?: string;
}

export interface Watched {
  readonly member: MemberId;
  readonly twin: MemberId;
  readonly pair: PairId;
  readonly center: string;
}

export interface JudgeTimings {
  /** Without a good answer, after which a member is declared failed over. */
  readonly failAfterMs: number;
  /** Of good answers, after which a member that may return is resynced. */
  readonly backAfterMs: number;
  /** A twin counts as answering when its last good answer is not older. */
  readonly freshMs: number;
  /** How long a declaration waits for the rest of a silent center, so that it becomes one change. */
  readonly gatherMs: number;
}

export interface Declaration {
  readonly subject:
    | { readonly kind: 'member'; readonly member: MemberId }
    | { readonly kind: 'center'; readonly center: string };
  readonly to: RecordedState;
  readonly expectedEpoch: Epoch;
  readonly why: string;
  readonly mayReturn?: boolean;
}

export interface Seen {
  readonly conditions: Conditions;
  readonly watched: readonly Watched[];
  readonly pulseOf: (member: MemberId) => Pulse;
  readonly heardOf: (member: MemberId) => Heard | null;
  readonly timings: JudgeTimings;
}

/** Changes to ask for, in this order. A center's stands alone: the rest is judged again after it. */
export function judge(seen: Seen): readonly Declaration[] {
  const silent = seen.watched.filter((w) => isLost(seen, w));
  const centers = [...new Set(silent.map((w) => w.center))];
  const whole = centers.find((center) => isWholeCenter(seen, center, silent));
  if (whole !== undefined) {
    const why = `none of its nodes has answered for ${seconds(seen.timings.failAfterMs)}`;
    const expectedEpoch = seen.conditions.epoch;
    return [
      { subject: { kind: 'center', center: whole }, to: 'failed-over', expectedEpoch, why, mayReturn: true },
    ];
  }
  return seen.watched.flatMap((w) => judgeMember(seen, w, silent) ?? []);
}

function judgeMember(seen: Seen, w: Watched, silent: readonly Watched[]): Declaration | null {
  const condition = seen.conditions.members.get(w.member);
  if (!condition) return null;
  const { failAfterMs, backAfterMs } = seen.timings;
  const pulse = seen.pulseOf(w.member);
  const change = (to: RecordedState, why: string): Declaration => ({
    subject: { kind: 'member', member: w.member },
    to,
    expectedEpoch: seen.conditions.pairEpochs.get(w.pair) ?? seen.conditions.epoch,
    why,
    ...(to === 'failed-over' ? { mayReturn: true } : {}),
  });
  switch (condition.state) {
    case 'serving':
      if (silent.includes(w)) {
        return waitsForItsCenter(seen, w)
          ? null
          : change('failed-over', `has not answered for ${seconds(pulse.silentMs)}`);
      }
      return isForeign(condition, seen.heardOf(w.member)) && twinStands(seen, w)
        ? change('failed-over', 'another disk is at its address')
        : null;
    case 'failed-over':
      return condition.mayReturn && pulse.goodForMs >= backAfterMs
        ? change('resyncing', `has answered for ${seconds(backAfterMs)}`)
        : null;
    case 'resyncing':
      return pulse.isSuspect && pulse.silentMs >= failAfterMs
        ? change('failed-over', `stopped answering while it was resynced`)
        : null;
  }
}

/** Silent for long enough, by probes and requests alike, while its twin serves and answers this gateway. */
function isLost(seen: Seen, w: Watched): boolean {
  const pulse = seen.pulseOf(w.member);
  // A member that has never answered may still be on its way up.
  const afterMs = seen.timings.failAfterMs * (pulse.goodAgoMs === null ? 2 : 1);
  return (
    stateOf(seen, w.member) === 'serving' &&
    pulse.isSuspect &&
    pulse.silentMs >= afterMs &&
    twinStands(seen, w)
  );
}

function twinStands(seen: Seen, { twin }: Watched): boolean {
  const pulse = seen.pulseOf(twin);
  const isFresh = pulse.goodAgoMs !== null && pulse.goodAgoMs <= seen.timings.freshMs;
  const stance = seen.heardOf(twin)?.state ?? 'serving';
  return stateOf(seen, twin) === 'serving' && stance === 'serving' && isFresh && !pulse.isSuspect;
}

/** All its members served and are lost now. Never where the twins are in the same center: who is lost has one that answers. */
function isWholeCenter(seen: Seen, center: string, silent: readonly Watched[]): boolean {
  return seen.watched.every((w) => w.center !== center || silent.includes(w));
}

/** The others of its center have fallen silent too, and some not for quite as long. */
function waitsForItsCenter(seen: Seen, w: Watched): boolean {
  const { failAfterMs, gatherMs } = seen.timings;
  const others = seen.watched.filter((o) => o.center === w.center && o.member !== w.member);
  return (
    others.length > 0 &&
    seen.pulseOf(w.member).silentMs < failAfterMs + gatherMs &&
    others.every(
      (o) => stateOf(seen, o.member) === 'serving' && seen.pulseOf(o.member).silentMs >= failAfterMs / 2,
    )
  );
}

const stateOf = ({ conditions }: Seen, member: MemberId): RecordedState =>
  conditions.members.get(member)?.state ?? 'serving';

const isForeign = ({ storeId }: MemberCondition, heard: Heard | null): boolean =>
  storeId !== null && heard?.storeId !== undefined && heard.storeId !== storeId;

const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`;

// --------------------------------------------------------------------------------- what to tell a member

export type Admission =
  | { readonly do: 'nothing' }
  /** The member knows a younger epoch than we do. */
  | { readonly do: 'reload'; readonly epoch: Epoch }
  /** It serves by the record, which names no data folder yet. */
  | { readonly do: 'adopt'; readonly storeId: string }
  | { readonly do: 'tell'; readonly state: Stance; readonly epoch: Epoch }
  /** It stays fenced. */
  | { readonly do: 'refuse'; readonly why: string };

const STANCE: Readonly<Record<RecordedState, Stance>> = {
  serving: 'serving',
  'failed-over': 'fenced',
  resyncing: 'resyncing',
};

/** What makes a member stand as the record says. */
export function admission(conditions: Conditions, w: Watched, heard: Heard): Admission {
  const condition = conditions.members.get(w.member);
  const epoch = conditions.pairEpochs.get(w.pair);
  if (!condition || epoch === undefined || heard.state === undefined) return { do: 'nothing' };
  if (heard.foreign !== undefined) return { do: 'refuse', why: heard.foreign };
  if (heard.epoch !== undefined && heard.epoch > epoch) return { do: 'reload', epoch: heard.epoch };
  if (condition.state === 'serving') {
    if (condition.storeId === null && heard.storeId !== undefined)
      return { do: 'adopt', storeId: heard.storeId };
    if (isForeign(condition, heard))
      return { do: 'refuse', why: 'another disk is at its address than the one that served there' };
  }
  const state = STANCE[condition.state];
  return heard.state === state && heard.epoch === epoch ? { do: 'nothing' } : { do: 'tell', state, epoch };
}
