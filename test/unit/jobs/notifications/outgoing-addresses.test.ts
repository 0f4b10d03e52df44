/** Which addresses requests that users cause may go to. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { networkOf, problemOfAddress } from '../../../../src/jobs/notifications/outgoing-addresses.ts';

const rules = (allowed: string[] = []) => ({
  cluster: [networkOf('10.1.0.0/24'), networkOf('2001:db8:1::7')],
  allowed: allowed.map(networkOf),
});
const refused = (address: string, allowed?: string[]) => problemOfAddress(address, rules(allowed)) !== null;

describe('an address that a user may have chosen', () => {
  it('is refused where it leads to this machine, its link, or somebody special', () => {
    const bad = `127.0.0.1 127.8.8.8 0.0.0.0 0.1.2.3 169.254.169.254 224.0.0.1 255.255.255.255 240.0.0.1 ::1 :: fe80::1 ff02::1
      ::ffff:127.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 2002:7f00:1:: ::127.0.0.1 fd00:ec2::254 nonsense`;
    for (const address of bad.split(/\s+/)) assert.ok(refused(address), address);
  });

  it('is refused where it is the cluster’s', () => {
    for (const address of ['10.1.0.11', '::ffff:10.1.0.11', '2001:db8:1::7'])
      assert.ok(refused(address), address);
  });

  it('is taken elsewhere, and where the operator allows it', () => {
    for (const address of ['203.0.114.7', '10.2.0.1', '192.168.1.4', '172.16.0.9', '2606:4700::1', 'fd12::1'])
      assert.ok(!refused(address), address);
    assert.ok(!refused('127.0.0.1', ['127.0.0.0/8']) && refused('127.0.0.1', ['127.0.0.2/32']));
    assert.ok(!refused('10.1.0.11', ['10.1.0.11']) && refused('10.1.0.12', ['10.1.0.11']));
    assert.ok(!refused('::ffff:127.0.0.1', ['127.0.0.1/32']) && !refused('::1', ['::1/128']));
  });
});
