/** The twin map is an involution and a bijection, for IPv4 and IPv6 and every prefix length. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Address,
  addressBits,
  contains,
  type Family,
  formatAddress,
  hostPart,
  hostText,
  networkOf,
  overlap,
  parseAddress,
  parseSubnet,
} from '../../../src/twin/address.ts';
import { type SubnetPair, subnetPairProblem, twinAddress } from '../../../src/twin/twin-map.ts';

const family = fc.constantFrom<Family>(4, 6);
const bitsOf = (bits: number) => fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n });
const subnetPair: fc.Arbitrary<SubnetPair> = family
  .chain((f) =>
    fc
      .tuple(bitsOf(addressBits(f)), bitsOf(addressBits(f)), fc.integer({ min: 1, max: addressBits(f) }))
      .map(([a, b, prefix]): SubnetPair => {
        const make = (base: bigint) => networkOf({ family: f, base, prefix });
        return [make(a), make(b)];
      }),
  )
  .filter(([a, b]) => !overlap(a, b));
const pairAndAddresses = subnetPair.chain((pair) => {
  const hosts = bitsOf(addressBits(pair[0].family) - pair[0].prefix);
  const address = fc
    .tuple(fc.constantFrom(0, 1), hosts)
    .map(([side, host]): Address => ({ family: pair[0].family, value: pair[side]!.base | host }));
  return fc.tuple(fc.constant(pair), address, address);
});

test('twin of twin is oneself, in the other subnet, with the same host part', () => {
  fc.assert(
    fc.property(pairAndAddresses, ([pair, address]) => {
      const twin = twinAddress(pair, address)!;
      const [own, other] = contains(pair[0], address) ? pair : [pair[1], pair[0]];
      assert(contains(other, twin) && !contains(own, twin));
      assert.equal(hostPart(other, twin), hostPart(own, address));
      assert.deepEqual(twinAddress(pair, twin), address);
    }),
  );
});

test('two addresses never share a twin', () => {
  fc.assert(
    fc.property(pairAndAddresses, ([pair, one, two]) => {
      assert.equal(one.value === two.value, twinAddress(pair, one)!.value === twinAddress(pair, two)!.value);
    }),
  );
});

test('text and number are each other’s inverse', () => {
  fc.assert(
    fc.property(
      family.chain((f) => bitsOf(addressBits(f)).map((value): Address => ({ family: f, value }))),
      (address) => {
        fc.pre(address.family === 4 || address.value >> 32n !== 0xffffn);
        assert.deepEqual(parseAddress(formatAddress(address)), address);
      },
    ),
  );
});

test('an address outside both subnets has no twin', () => {
  const pair: SubnetPair = [parseSubnet('127.1.0.0/24')!, parseSubnet('127.2.0.0/24')!];
  assert.equal(twinAddress(pair, parseAddress('127.1.1.1')!), null);
  assert.equal(twinAddress(pair, parseAddress('::1')!), null);
  assert.equal(formatAddress(twinAddress(pair, parseAddress('127.2.0.11')!)!), '127.1.0.11');
});

test('subnets that cannot be twins say why', () => {
  const problem = (a: string, b: string) => subnetPairProblem([parseSubnet(a)!, parseSubnet(b)!]);
  assert.match(problem('10.0.0.0/24', '10.0.1.0/25')!, /unequal/);
  assert.match(problem('10.0.0.0/8', 'fd00::/8')!, /IPv6/);
  assert.match(problem('10.0.0.0/24', '10.0.0.0/24')!, /overlap/);
  assert.equal(problem('10.0.0.0/24', '10.0.1.0/24'), null);
});

test('host parts read as in the address', () => {
  assert.equal(hostText(4, 11n), '11');
  assert.equal(hostText(4, 256n + 11n), '1.11');
  assert.equal(hostText(6, 0xa0f0011n), 'a0f.11');
  assert.equal(hostText(6, 0x10000n), '1.0');
});

test('texts that look like addresses and are none', () => {
  for (const text of ['127.1', '0x7f.0.0.1', '1.2.3.4.5', 'fe80::1%eth0', '::ffff:1.2.3.4', '', ' 1.2.3.4']) {
    assert.equal(parseAddress(text), null, text);
  }
  for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/-1', 'fd00::/129']) {
    assert.equal(parseSubnet(text), null, text);
  }
});
