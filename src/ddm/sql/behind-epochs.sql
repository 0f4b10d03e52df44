-- Whether this directory has not heard of one of these epochs.
SELECT EXISTS (
  SELECT FROM jsonb_each_text($1) n(pair, epoch)
  LEFT JOIN antipode.pair_epoch e ON e.pair = n.pair
  WHERE e.epoch IS NULL OR e.epoch < n.epoch::bigint) AS behind
