/** Every action of the query APIs that is supported; docs/iam.md lists the same (a test compares). */
import type { QueryAction } from './action.ts';
import { EMPTY_LISTS } from './empty-lists.ts';
import { ENTITY_ACTIONS } from './entities.ts';
import { KEY_ACTIONS } from './keys.ts';
import { POLICY_ACTIONS } from './policies.ts';
import { STS_ACTIONS } from './sts.ts';

export const QUERY_ACTIONS: readonly QueryAction[] = [
  ...ENTITY_ACTIONS,
  ...KEY_ACTIONS,
  ...POLICY_ACTIONS,
  ...STS_ACTIONS,
  ...EMPTY_LISTS,
];
