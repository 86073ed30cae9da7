// Sets of registered nodes by slot number. Filters combine whole sets word by word: 100,000 nodes are 3,125 words, some microseconds per filter.

const MEMBERS_BEFORE_BITS = 256; // a posting this small is cheaper as a set than as 12.5 kB of bits

export type Bits = Uint32Array;

export const wordsFor = (slots: number): number => (slots + 31) >>> 5;

export function countBits(bits: Bits): number {
  let count = 0;
  for (let index = 0; index < bits.length; index++) {
    let word = bits[index]!;
    if (word === 0) continue;
    word -= (word >>> 1) & 0x55555555;
    word = (word & 0x33333333) + ((word >>> 2) & 0x33333333);
    count += Math.imul((word + (word >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }
  return count;
}

export function intersect(bits: Bits, other: Bits): void {
  for (let index = 0; index < bits.length; index++) bits[index]! &= other[index]!;
}

export function subtract(bits: Bits, other: Bits): void {
  for (let index = 0; index < bits.length; index++) bits[index]! &= ~other[index]!;
}

export function addBit(bits: Bits, slot: number): void {
  bits[slot >>> 5]! |= 1 << (slot & 31);
}

export function hasBit(bits: Bits, slot: number): boolean {
  return (bits[slot >>> 5]! & (1 << (slot & 31))) !== 0;
}

export function slotsOf(bits: Bits): number[] {
  const slots: number[] = [];
  for (let index = 0; index < bits.length; index++) {
    for (let word = bits[index]!; word !== 0; word &= word - 1) slots.push(index * 32 + 31 - Math.clz32(word & -word));
  }
  return slots;
}

/** The nodes that carry one tag: a Set while few, bits once many. It never turns back, so a tag on the edge does not flap. */
export class Posting {
  private few: Set<number> | undefined = new Set();
  private bits: Bits = new Uint32Array(0);
  size = 0;

  has(slot: number): boolean {
    return this.few?.has(slot) ?? (slot >>> 5 < this.bits.length && hasBit(this.bits, slot));
  }

  add(slot: number): void {
    if (this.has(slot)) return;
    this.size++;
    if (this.few === undefined) return this.setBit(slot);
    this.few.add(slot);
    if (this.size < MEMBERS_BEFORE_BITS) return;
    const members = this.few;
    this.few = undefined;
    for (const member of members) this.setBit(member);
  }

  delete(slot: number): void {
    if (!this.has(slot)) return;
    this.size--;
    if (this.few === undefined) this.bits[slot >>> 5]! &= ~(1 << (slot & 31));
    else this.few.delete(slot);
  }

  addTo(target: Bits): void {
    for (const slot of this.few ?? []) addBit(target, slot);
    const { bits } = this;
    const words = Math.min(bits.length, target.length); // a posting may have grown beyond the last slot, with zeros
    for (let index = 0; index < words; index++) target[index]! |= bits[index]!;
  }

  private setBit(slot: number): void {
    if (slot >>> 5 >= this.bits.length) {
      const grown = new Uint32Array(Math.max(wordsFor(slot + 1), this.bits.length * 2));
      grown.set(this.bits);
      this.bits = grown;
    }
    addBit(this.bits, slot);
  }
}
