/** A member that returns gets the records of names that its twin has, over real nodes. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import type { Epoch } from '../../../src/base/ids.ts';
import { copyNames } from '../../../src/dosm/resync/copy-names.ts';
import type { createNodeClient } from '../../../src/nodes/client.ts';
import type { NameRecord } from '../../../src/nodes/names-protocol.ts';
import { nodeAndClient } from './fixture.ts';

type Client = ReturnType<typeof createNodeClient>;
const record = (name: string, change: number, isDeleted = false): NameRecord => ({
  id: createHash('sha256').update(name).digest('hex').slice(0, 32),
  ...{ change, isDeleted, body: isDeleted ? '' : `{"name":"${name} ${change}"}` },
});

describe('the records of names of a member that returns', () => {
  it('are those of its twin afterwards: what it missed, what was deleted, what is of no catalog any more', async () => {
    await using a = await nodeAndClient();
    await using b = await nodeAndClient();
    const [member, twin] = [a.client as Client, b.client as Client];
    const all = Array.from({ length: 400 }, (_, i) => record(`key ${i}`, i + 1));
    await member.putNames(all);
    await twin.putNames(all);
    await twin.putNames([record('key 1', 900, true), record('key 2', 901), record('only there', 902)]);
    await member.putNames([record('only here', 3), record('key 3', 950)]);
    const signal = new AbortController().signal;
    // Two on the twin alone or younger there, one gone, one here alone, one younger here.
    assert.equal(await copyNames({ member, twin }, 5 as Epoch, signal), 5);
    assert.deepEqual(await member.nameDigests(), await twin.nameDigests());
    const { records } = await twin.names({ max: 1_000 });
    const changeOf = (name: string) => records.find(({ id }) => id === record(name, 0).id)?.change;
    assert.deepEqual(
      [
        changeOf('key 1'),
        changeOf('key 2'),
        changeOf('key 3'),
        changeOf('only there'),
        changeOf('only here'),
      ],
      [900, 901, 950, 902, undefined],
    );
    assert.equal((await twin.status()).epoch, 5);
    assert.equal(await copyNames({ member, twin }, 5 as Epoch, signal), 0);
  });
});
