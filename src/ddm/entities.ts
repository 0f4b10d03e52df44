/** Users and roles of accounts, on the root pair. What is found by id is cached for at most settingsAgeMs. */
import { LRUCache } from 'lru-cache';
import { UNKNOWN } from './accounts.ts';
import type { Entity, EntityCatalog } from './catalog.ts';
import type { Directories } from './directories.ts';
import type { Row } from './link.ts';
import { entityOf, isStorable } from './mapping.ts';
import type { CatalogOptions } from './options.ts';
import { statement } from './statements.ts';

const FIND_ENTITY = statement('find-entity');
const FIND_ENTITY_BY_ID = statement('find-entity-by-id');
const LIST_ENTITIES = statement('list-entities');
const CREATE_ENTITY = statement('create-entity');
const CHANGE_ENTITY = statement('change-entity');
const DELETE_ENTITY = statement('delete-entity');

const ENTITIES_MAX = 10_000;

const foundIn = (row: Row): Entity => entityOf(row.entity as Row, row);

/** @param forgetKeys called when what a user may do has changed: keys are cached with it */
export function openEntities(
  directories: Directories,
  o: CatalogOptions,
  forgetKeys: () => void,
): EntityCatalog {
  const known = new LRUCache<string, Entity>({
    max: ENTITIES_MAX,
    ttl: o.settingsAgeMs,
    ttlResolution: 0,
    perf: { now: () => o.clock.monotonic() },
  });
  /** Raised by every local change, as in accounts.ts. */
  let generation = 0;
  const changed = () => {
    generation++;
    known.clear();
    forgetKeys();
  };

  return {
    async findEntity({ account, kind, name }) {
      if (!isStorable(name)) return null;
      const [row] = await directories.root.read(FIND_ENTITY, [account, kind, name]);
      return row ? foundIn(row) : null;
    },

    async findEntityById(id) {
      const cached = known.get(id);
      if (cached) return cached;
      if (!isStorable(id)) return null;
      const readAt = generation;
      const [row] = await directories.root.read(FIND_ENTITY_BY_ID, [id]);
      if (!row) return null;
      const entity = foundIn(row);
      if (generation === readAt) known.set(id, entity);
      return entity;
    },

    async listEntities({ account, kind, pathPrefix, after, max }) {
      const rows = await directories.root.read(LIST_ENTITIES, [account, kind, pathPrefix, after, max + 1]);
      return { entities: rows.slice(0, max).map(foundIn), truncated: rows.length > max };
    },

    async createEntity(entity, max) {
      const { account, ...rest } = entity;
      const document = JSON.stringify({ ...rest, account: account.id });
      const answer = await directories.root.write(CREATE_ENTITY, [document, max]);
      if (answer === 'unknown') return UNKNOWN;
      const said = answer.rows[0]?.answer as {
        answer: 'done' | 'exists' | 'no-such-account' | 'too-many';
        createdAt: string;
      };
      if (said.answer !== 'done') return { outcome: 'refused', reason: said.answer };
      return { outcome: 'done', value: { ...entity, policies: {}, createdAt: new Date(said.createdAt) } };
    },

    async changeEntity({ account, kind, name }, change) {
      try {
        const values = [account, kind, name, JSON.stringify(change)];
        const answer = await directories.root.write(CHANGE_ENTITY, values);
        if (answer === 'unknown') return UNKNOWN;
        const said = answer.rows[0]?.answer as
          | 'done'
          | 'no-such-entity'
          | 'exists'
          | 'no-such-policy'
          | 'too-large';
        return said === 'done' ? { outcome: 'done', value: null } : { outcome: 'refused', reason: said };
      } finally {
        changed();
      }
    },

    async deleteEntity({ account, kind, name }) {
      try {
        const answer = await directories.root.write(DELETE_ENTITY, [account, kind, name]);
        if (answer === 'unknown') return UNKNOWN;
        const said = answer.rows[0]?.answer as 'done' | 'no-such-entity' | 'has-keys' | 'has-policies';
        return said === 'done' ? { outcome: 'done', value: null } : { outcome: 'refused', reason: said };
      } finally {
        changed();
      }
    },
  };
}
