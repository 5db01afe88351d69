import type { FilePort } from '@aliquot/shared/durable/file-port';
import { type CrashScenario, type Life, tortureOf } from '@aliquot/shared/testing/enumerate';
import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import { type KnownPlace, PlaceBook, type PlaceIdentity } from '../../src/source/places.ts';

const drive: PlaceIdentity = {
  fileSystem: 'exfat /dev/sdb1 /',
  mount: true,
  isFolder: true,
  ino: 2n ** 63n + 1n,
  bornNs: 1n,
};
const other: PlaceIdentity = { ...drive, fileSystem: 'exfat /dev/sdc1 /' };

/** What the book holds at one time. */
interface Known {
  readonly places: ReadonlyMap<string, KnownPlace | undefined>;
  readonly targets: readonly string[];
}

/**
 * What is told of places, one save after the other. A place that is held is the one thing between a
 * drive that is away and "gone".
 */
export const placeBook: CrashScenario = {
  name: 'place-book',
  about:
    'every file call of remembering drives, folders and where links lead fails, is cut short or is the last: what was saved is known afterwards, whole, and a place that is held stays held until a person or a later save says otherwise',
  proves: ['P1', 'P6'],
  begin: async (root): Promise<Life<PlaceBook>> => {
    const states: readonly (readonly [name: string, Known])[] = [
      [
        'a drive is seen',
        {
          places: new Map([['/data/m\u00ffs', { identity: drive, heldAtEntry: undefined }]]),
          targets: ['/first'],
        },
      ],
      [
        'it is away',
        {
          places: new Map([['/data/m\u00ffs', { identity: drive, heldAtEntry: 7 }]]),
          targets: ['/first', '/second'],
        },
      ],
      [
        'another is there',
        {
          places: new Map([['/data/m\u00ffs', { identity: other, heldAtEntry: 7 }]]),
          targets: ['/first', '/second'],
        },
      ],
      [
        'a person says that it is gone',
        { places: new Map([['/data/m\u00ffs', undefined]]), targets: ['/second'] },
      ],
      ['nothing is known any more', { places: new Map(), targets: [] }],
    ];
    /**
     * How many states were told as saved; and what may stand in the file: the last of them, or the
     * next, whole.
     */
    let saved = 0;
    const textOf = (book: PlaceBook) =>
      JSON.stringify(
        [book.within('/').map((path) => [path, book.get(path)]), book.targets('/link')],
        (_, value: unknown) => (typeof value === 'bigint' ? `${value}` : value),
      );
    const told: string[] = ['[[],[]]'];
    return {
      open: (files) => PlaceBook.open(files, root),
      steps: states.map(([name, { places, targets }], at) => ({
        name,
        run: async (book: PlaceBook) => {
          for (const [path, place] of places) book.set(path, place);
          book.setTargets('/link', targets);
          told[at + 1] = textOf(book);
          await book.save();
          saved = at + 1;
        },
      })),
      close: async () => undefined,
      // As `save` promises: what was not written is with the next call.
      retryable: () => true,
      judge: async (files: FilePort) => {
        const found = textOf(await PlaceBook.open(files, root));
        if (found === told[saved] || found === told[saved + 1]) return;
        throw new Error(`P6: after save ${saved} the book knows ${found}, not ${told[saved]}`);
      },
    };
  },
};

export const placeScenarios: readonly TortureScenario[] = [tortureOf(placeBook)];
