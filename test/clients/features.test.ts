/** One feature after the other, through the clients that people use, against one store. Each stands in a file of its own. */
import { after, before, describe } from 'node:test';
import { freePort } from '../harness/postgres.ts';
import { type FeatureStore, missingClients, startFeatureStore } from './feature-store.ts';
import { acl } from './features/acl.ts';
import { ENCRYPTION_SETTINGS, encryption } from './features/encryption.ts';
import { forms, WEBSITE_DOMAIN } from './features/forms.ts';
import { iam } from './features/iam.ts';
import { lifecycle } from './features/lifecycle.ts';
import { locks } from './features/locks.ts';
import { notifications } from './features/notifications.ts';
import { policies } from './features/policies.ts';

/** Where the webhook of the tests listens. */
const hookPort = await freePort();

/** Of the store's configuration file; what several features need stands here once. */
const SETTINGS = {
  encryption: ENCRYPTION_SETTINGS,
  webhooks: [
    {
      name: 'feature',
      url: `http://127.0.0.1:${hookPort}/`,
      allowAddresses: ['127.0.0.0/8'],
      timeoutMs: 30_000,
    },
  ],
  lifecycleDayMs: 20_000,
  websiteDomains: [WEBSITE_DOMAIN],
  notifications: { pollMs: 50, backoffMs: 20 },
} as const;

const missing = missingClients();
describe('features, through clients', missing === null ? {} : { skip: missing }, () => {
  let started: Awaited<ReturnType<typeof startFeatureStore>> | undefined;
  before(async () => {
    started = await startFeatureStore(SETTINGS);
  });
  after(() => started?.stop());
  const store = (): FeatureStore => started!;

  acl(store);
  encryption(store);
  forms(store);
  iam(store);
  policies(store);
  lifecycle(store);
  notifications(store, hookPort);
  locks(store);
});
