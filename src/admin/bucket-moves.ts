/** What operators may do to the place of a bucket: move it to another directory pair, watch that, and call it off. */
import type { Router } from 'express';
import type { PairId } from '../base/ids.ts';
import type { BucketMove, BucketMoves } from '../ddm/bucket-moves.ts';
import { unknownOutcome } from './accounts.ts';
import type { AdminLocals } from './admin-auth.ts';
import { AdminError } from './admin-error.ts';
import { type BucketMoveReport, bucketMoveOrder, bucketMovesQuery } from './bucket-moves-api.ts';
import { parse } from './parse.ts';

const reportOf = (move: BucketMove): BucketMoveReport => ({
  ...{ bucket: move.name, source: move.source, target: move.target, phase: move.phase },
  ...{ versions: move.versions, freezes: move.freezes, frozenMs: move.frozenMs, decidedBy: move.decidedBy },
  startedAt: move.startedAt.toISOString(),
  updatedAt: move.updatedAt.toISOString(),
  lastError: move.lastError ?? null,
});

export function bucketMoveRoutes(router: Router, moves: BucketMoves): void {
  router.get('/bucket-moves', async (req, res) => {
    const { bucket, max } = parse(bucketMovesQuery, req.query);
    const found = await moves.listBucketMoves({ ...(bucket === undefined ? {} : { name: bucket }), max });
    res.json({ moves: found.map(reportOf) });
  });
  router.post('/buckets/:name/move', async (req, res) => {
    const { body, who } = res.locals as AdminLocals;
    const { to } = parse(bucketMoveOrder, body);
    const { name } = req.params;
    const target = (to.includes('/') ? to : `directory/${to}`) as PairId;
    const outcome = await moves.startBucketMove({ name, to: target, decidedBy: who });
    if (outcome.outcome === 'unknown') throw unknownOutcome();
    if (outcome.outcome === 'done') return void res.status(201).json(reportOf(outcome.value));
    switch (outcome.reason) {
      case 'no-such-bucket':
        throw new AdminError('NoSuchBucket', `there is no bucket ${name}`);
      case 'no-such-pair':
        throw new AdminError('NotFound', `there is no pair of directories ${target}`);
      case 'there-already':
        throw new AdminError('NotAllowed', `the bucket ${name} is in ${target} already`);
      case 'moving':
        throw new AdminError('NotAllowed', `the bucket ${name}: ${outcome.detail ?? 'it is being moved'}`);
    }
  });
  router.delete('/buckets/:name/move', async (req, res) => {
    const outcome = await moves.cancelBucketMove(req.params.name);
    if (outcome.outcome === 'unknown') throw unknownOutcome();
    if (outcome.outcome === 'done') return void res.status(204).end();
    if (outcome.reason === 'no-move')
      throw new AdminError('NotFound', `the bucket ${req.params.name} is not being moved`);
    throw new AdminError('NotAllowed', 'the last changes are being copied: it arrives in a moment');
  });
}
