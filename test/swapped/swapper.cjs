/**
 * A hostile user, as a program of his own: swaps folders below HOME for links to OUTSIDE and back,
 * as quickly as he can, and leaves files in them that are worth a backup. Ends with its parent.
 * Without OUTSIDE it takes HOME, swaps one folder once, and fails where it cannot.
 */
const fs = require('node:fs');
const [, user, home, outside] = process.argv;
if (outside === undefined) fs.chownSync(home, Number(user), Number(user));
process.setgroups([]);
process.setgid(Number(user));
process.setuid(Number(user));
if (outside === undefined) {
  fs.mkdirSync(`${home}/folder`);
  fs.renameSync(`${home}/folder`, `${home}/moved`);
  fs.symlinkSync('moved', `${home}/folder`);
  fs.writeFileSync(`${home}/folder/file`, 'his');
  process.exit(0);
}
const clock = new Int32Array(new SharedArrayBuffer(4));
/** No result depends on it: it only spreads the moments. */
const rest = () => Atomics.wait(clock, 0, 0, Math.random() * 2);
const dare = (act) => {
  try {
    act();
    return true;
  } catch {
    return false; // root was quicker, or does not let him
  }
};
const AWAY = '.away';

function foldersIn(folder, depth) {
  const found = [];
  dare(() => {
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
      if (!entry.isDirectory() || entry.name.endsWith(AWAY)) continue;
      const path = `${folder}/${entry.name}`;
      found.push(path);
      if (depth > 0) found.push(...foldersIn(path, depth - 1));
    }
  });
  return found;
}

process.stdin
  .on('end', () => process.exit(0))
  .on('data', (paths) => {
    for (const path of paths.toString().split('\n'))
      if (path !== '') dare(() => fs.mkdirSync(path, { recursive: true }));
    process.stdout.write('made\n');
  });
let swaps = 0;
const round = () => {
  for (const path of foldersIn(home, 5).sort(() => Math.random() - 0.5)) {
    dare(() => fs.writeFileSync(`${path}/left-${swaps % 50}.txt`, `${swaps}`));
    if (!dare(() => fs.renameSync(path, path + AWAY))) continue;
    if (dare(() => fs.symlinkSync(outside, path))) swaps += 1;
    rest();
    dare(() => fs.unlinkSync(path));
    dare(() => fs.renameSync(path + AWAY, path));
    rest();
  }
  process.stdout.write(`swaps ${swaps}\n`);
  setImmediate(round);
};
round();
