/**
 * The sockets of a search by multicast. A member listens on its center's group, bound to the group's own address so that
 * nothing else that uses the port is heard, joined on the interface of the member's own address. An asker sends from the
 * address that the system would use towards a member of the center, so that loopback and several networks work without
 * being set up. Answers go by unicast to where the question came from. Sockets alone: what is said is not looked at.
 */
import { createHmac } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import type { Logger } from 'pino';
import { type Clock, OVER, type Random } from '../base/clock.ts';
import type { Answerer } from './search-answerer.ts';
import type { QuestionPort } from './search-asker.ts';
import { DATAGRAM_BYTES_MAX } from './search-wire.ts';

export interface GroupAddress {
  readonly address: string;
  readonly port: number;
}
/** Where an asker sends for one center. */
export interface CenterGroup {
  readonly group: GroupAddress;
  /** Any member of the center: the way to it is the way of the datagrams. */
  readonly towards: string;
}

const isV6 = (address: string): boolean => address.includes(':');

/**
 * The group of a center, of the family of `address`: in 239.255.0.0/16 (administratively scoped, RFC 2365) or ff15::/16
 * (transient, site-local, RFC 4291). From the cluster's secret, so that neighbours do not hear each other.
 */
export function groupOf(secret: Buffer, center: string, address: string): string {
  const bytes = createHmac('sha256', secret).update(`antipode search group 1\n${center}`).digest();
  if (!isV6(address)) return `239.255.${bytes[0]}.${1 + (bytes[1]! % 254)}`;
  const words = Array.from({ length: 7 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
  return `ff15:${words.join(':')}`;
}

/** What node:dgram calls the interface that has this address. */
function interfaceOf(address: string): string {
  if (!isV6(address)) return address;
  const named = Object.entries(networkInterfaces()).find(([, all]) =>
    all?.some((each) => each.address === address),
  );
  return `::%${named?.[0] ?? 'lo'}`;
}

const bind = (socket: Socket, address: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ address, port, exclusive: true }, () => {
      socket.off('error', reject);
      resolve();
    });
  });

const close = (socket: Socket): Promise<void> => new Promise((resolve) => socket.close(() => resolve()));

// ------------------------------------------------------------------------------------------ answering

export interface ListenOptions {
  readonly group: GroupAddress;
  /** This member's own: the interface to join on, and where answers come from. */
  readonly address: string;
  readonly answerer: Answerer;
  readonly clock: Clock;
  readonly random: Random;
  readonly onError: (error: Error) => void;
}

/** Answers what is asked of the group. @throws when the group cannot be joined */
export async function listenToGroup(options: ListenOptions): Promise<{ close(): Promise<void> }> {
  const { group, address, answerer, clock, random, onError } = options;
  const type = isV6(address) ? 'udp6' : 'udp4';
  const stop = new AbortController();
  const ears = createSocket({ type, reuseAddr: true });
  const mouth = createSocket({ type });
  const closeBoth = async (): Promise<void> => {
    stop.abort(OVER);
    await Promise.all([close(ears), close(mouth)]);
  };
  try {
    await bind(ears, group.address, group.port);
    ears.addMembership(group.address, interfaceOf(address));
    await bind(mouth, address, 0);
  } catch (error) {
    await closeBoth();
    throw error;
  }
  for (const socket of [ears, mouth]) socket.on('error', onError);
  ears.on('message', (bytes, from) => {
    if (bytes.length > DATAGRAM_BYTES_MAX) return;
    void reply(bytes, from.address);
  });
  const reply = async (bytes: Buffer, to: string): Promise<void> => {
    const said = await answerer.answer(bytes, 'multicast');
    if ('silent' in said || stop.signal.aborted) return;
    const { windowMs, replyPort } = said.question;
    await clock.sleep(random() * Math.min(windowMs, WINDOW_MS_MAX), stop.signal).then(
      () => mouth.send(said.bytes, replyPort, to, () => {}),
      () => {},
    );
  };
  return { close: closeBoth };
}

/** null: point to point alone. A group that cannot be joined is said in the log and leaves searches point to point. */
export async function listenWherePossible({
  group,
  log,
  ...options
}: Omit<ListenOptions, 'group' | 'onError'> & {
  readonly group: GroupAddress | null;
  readonly log: Pick<Logger, 'warn'>;
}): Promise<{ close(): Promise<void> }> {
  if (!group) return NOBODY;
  const onError = (error: Error): void => log.warn({ err: error }, 'the search group: a socket failed');
  try {
    return await listenToGroup({ ...options, group, onError });
  } catch (error) {
    log.warn({ err: error, group }, 'no multicast here: searches go point to point');
    return NOBODY;
  }
}

const NOBODY = { close: async (): Promise<void> => {} };

/** However long a window a question asks for: answers that wait are kept in memory. */
const WINDOW_MS_MAX = 500;

// --------------------------------------------------------------------------------------------- asking

export interface QuestionPortOptions {
  readonly groups: ReadonlyMap<string, CenterGroup>;
  /** 1: stays on its network. Routed groups need one more for each router. */
  readonly ttl: number;
  /** This process's own address to send from; null: the one that the system would use. */
  readonly address: string | null;
  readonly onError: (error: Error) => void;
}

const RECEIVE_BYTES = 4 * 1024 * 1024;

export function openQuestionPort(options: QuestionPortOptions): QuestionPort {
  /** One for each own address. */
  const sockets = new Map<string, Promise<Socket>>();
  let listener: (bytes: Buffer) => void = () => {};
  let isClosed = false;

  const openSocket = async (address: string): Promise<Socket> => {
    const socket = createSocket({ type: isV6(address) ? 'udp6' : 'udp4' });
    try {
      await bind(socket, address, 0);
      socket.setMulticastTTL(options.ttl);
      socket.setMulticastInterface(interfaceOf(address));
      socket.setRecvBufferSize(RECEIVE_BYTES);
    } catch (error) {
      await close(socket);
      throw error;
    }
    socket.on('error', options.onError);
    socket.on('message', (bytes) => listener(bytes));
    socket.unref();
    return socket;
  };
  const socketFrom = (address: string): Promise<Socket> => {
    const known = sockets.get(address);
    if (known) return known;
    const opening = openSocket(address);
    sockets.set(address, opening);
    opening.catch(() => sockets.delete(address)); // the address may come back
    return opening;
  };

  return {
    onDatagram: (given) => {
      listener = given;
    },
    open: async (center) => {
      const found = options.groups.get(center);
      if (!found || isClosed) throw new Error(`no group for center ${center}`);
      const { group, towards } = found;
      const socket = await socketFrom(options.address ?? (await ownAddressTowards(towards)));
      return {
        replyPort: socket.address().port,
        send: (datagram) =>
          new Promise((resolve, reject) => {
            socket.send(datagram, group.port, group.address, (error) => (error ? reject(error) : resolve()));
          }),
      };
    },
    close: async () => {
      isClosed = true;
      await Promise.all([...sockets.values()].map((opening) => opening.then(close, () => {})));
      sockets.clear();
    },
  };
}

/** Connecting a datagram socket sends nothing: it asks the system's routes. */
async function ownAddressTowards(address: string): Promise<string> {
  const socket = createSocket(isV6(address) ? 'udp6' : 'udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(9, address, () => resolve());
    });
    return socket.address().address;
  } finally {
    await close(socket);
  }
}
