/** Somebody else on the wire: hears what is sent to a multicast group, and sends datagrams of its own. Knows no secret. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { GroupAddress } from '../../src/twin/search-multicast.ts';

export class GroupEar {
  readonly heard: Buffer[] = [];
  /** Called with each datagram at once. */
  onQuestion: (bytes: Buffer) => void = () => {};
  /** What came back to its own socket. */
  readonly answers: Buffer[] = [];
  readonly #ear: Socket;
  readonly #mouth: Socket;
  readonly #group: GroupAddress;

  private constructor(group: GroupAddress, ear: Socket, mouth: Socket) {
    this.#group = group;
    this.#ear = ear;
    this.#mouth = mouth;
    ear.on('message', (bytes) => {
      this.heard.push(bytes);
      this.onQuestion(bytes);
    });
    mouth.on('message', (bytes) => this.answers.push(bytes));
  }

  static async open(group: GroupAddress, address = '127.0.0.1'): Promise<GroupEar> {
    const ear = createSocket({ type: 'udp4', reuseAddr: true });
    ear.bind({ address: group.address, port: group.port, exclusive: true });
    await once(ear, 'listening');
    ear.addMembership(group.address, address);
    const mouth = createSocket('udp4');
    mouth.bind({ address, port: 0, exclusive: true });
    await once(mouth, 'listening');
    mouth.setMulticastInterface(address);
    return new GroupEar(group, ear, mouth);
  }

  /** Where answers to what it sends would have to go. */
  get port(): number {
    return this.#mouth.address().port;
  }

  toGroup(bytes: Buffer): Promise<void> {
    return this.to(this.#group.port, this.#group.address, bytes);
  }

  to(port: number, address: string, bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#mouth.send(bytes, port, address, (error) => (error ? reject(error) : resolve()));
    });
  }

  async close(): Promise<void> {
    this.#ear.close();
    this.#mouth.close();
    await Promise.all([once(this.#ear, 'close'), once(this.#mouth, 'close')]);
  }
}
