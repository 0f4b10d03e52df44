/** Where a gateway stands: named, listed, or by the address that it listens on. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MemberConfig } from '../../../src/config.ts';
import { gatewayCenter } from '../../../src/launcher/gateway-center.ts';

const CENTERS = [
  { name: 'a', subnets: ['10.1.0.0/24'] },
  { name: 'b', subnets: ['10.2.0.0/24'] },
];
const topology = { centers: CENTERS, members: new Map(), pairs: new Map() };
const centerOf = (o: { host?: string; named?: string; listed?: string }) => {
  const members = o.listed
    ? [{ id: 'gateway-x', kind: 'gateway' as const, address: o.listed, port: 9000 }]
    : [];
  const listen = { host: o.host ?? '0.0.0.0', port: 9000 };
  const gateway = {
    listen,
    admin: listen,
    tls: null,
    domains: [],
    region: 'x',
    ...(o.named ? { center: o.named } : {}),
  };
  const config = { member: 'gateway-x', cluster: { centers: CENTERS, members }, gateway };
  return gatewayCenter(config as unknown as MemberConfig, topology);
};

describe('the center of a gateway', () => {
  it('is the one that its file names', () => assert.equal(centerOf({ named: 'b', host: '10.1.0.3' }), 'b'));
  it('is that of its listed address', () => assert.equal(centerOf({ listed: '10.2.0.3' }), 'b'));
  it('is that of the address that it listens on', () => assert.equal(centerOf({ host: '10.1.0.3' }), 'a'));
  it('is none outside of both', () => assert.equal(centerOf({ listed: '192.0.2.1' }), null));
  it('is none for a name or a wildcard', () => assert.equal(centerOf({ host: 'localhost' }), null));
});
