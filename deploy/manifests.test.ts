import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';

/**
 * What is handed to Docker, Compose and Kubernetes says the same as the image, and the image the
 * same as the program.
 */

type Tree = { readonly [key: string]: unknown };

const read = (path: string): string => readFileSync(join(import.meta.dirname, path), 'utf8');

/** A value deep in a document, by keys and indexes; undefined where it ends before. */
function at(tree: unknown, ...keys: readonly (string | number)[]): unknown {
  return keys.reduce<unknown>(
    (inner, key) =>
      inner === null || typeof inner !== 'object' ? undefined : (inner as Tree)[key],
    tree,
  );
}

function documents(path: string): readonly Tree[] {
  const parsed = parseAllDocuments(read(path), { strict: true, uniqueKeys: true });
  return parsed.map((document) => {
    expect(document.errors, path).toEqual([]);
    expect(document.warnings, path).toEqual([]);
    return document.toJS() as Tree;
  });
}

function kind(all: readonly Tree[], name: string): Tree {
  const found = all.filter((one) => one['kind'] === name);
  if (found[0] === undefined || found.length > 1)
    throw new Error(`${found.length} documents are a ${name}`);
  return found[0];
}

/** The instructions of the Containerfile by name; continued lines are one. */
function instructions(): ReadonlyMap<string, string> {
  const text = read('container/Containerfile')
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll('\\\n', ' ');
  const lines = [...text.matchAll(/^([A-Z]+)\s+(.*)$/gm)];
  return new Map(lines.map(([, name = '', rest = '']) => [name, rest.trim()]));
}

const file = instructions();
const image = {
  user: file.get('USER') ?? '',
  volume: file.get('VOLUME') ?? '',
  port: Number(file.get('EXPOSE')),
  command: JSON.parse(file.get('CMD') ?? '[]') as string[],
  health: JSON.parse(/CMD (\[.*\])$/.exec(file.get('HEALTHCHECK') ?? '')?.[1] ?? '[]') as string[],
};
const [uid] = image.user.split(':').map(Number);
const option = (name: string): string => image.command[image.command.indexOf(name) + 1] ?? '';

const statefulSet = kind(documents('kubernetes/collector.yaml'), 'StatefulSet');
const service = kind(documents('kubernetes/collector.yaml'), 'Service');
const claim = kind(documents('kubernetes/init.yaml'), 'PersistentVolumeClaim');
const job = kind(documents('kubernetes/init.yaml'), 'Job');
const compose = documents('container/compose.yaml')[0] ?? {};
const proxied = documents('container/compose.nginx.yaml')[0] ?? {};

describe("the collector's image", () => {
  it('serves, over TLS, on the port that it exposes, from its volume, as a user that is not root', () => {
    expect(uid).toBeGreaterThan(999);
    expect(image.command[0]).toBe('serve');
    expect(option('--listen')).toBe(`0.0.0.0:${image.port}`);
    expect(dirname(option('--data'))).toBe(image.volume);
    const man = read('man/aliquot.1').replaceAll('\\', '');
    for (const word of image.command.filter((one) => one.startsWith('--')))
      expect(man).toContain(word);
  });

  it('holds no secret: what is copied into it is the package and the health check', () => {
    const copied = [...read('container/Containerfile').matchAll(/^(?:COPY|ADD)\s+(\S+)/gm)].map(
      ([, from]) => from,
    );
    expect(copied).toEqual(['package/', 'alive.ts']);
    expect(file.has('ENV')).toBe(false);
  });
});

describe('the manifests for Compose', () => {
  const collector = at(compose, 'services', 'collector');

  it("say the image's own user, port, volume and health check, and give it nothing that it does not need", () => {
    expect(at(collector, 'user')).toBe(image.user);
    expect(at(collector, 'ports')).toEqual([`${image.port}:${image.port}`]);
    expect(at(collector, 'volumes')).toEqual([
      `data:${image.volume}`,
      `./tls:${dirname(option('--tls-cert'))}:ro`,
    ]);
    expect(Object.keys(at(compose, 'volumes') ?? {})).toEqual(['data']);
    expect(at(collector, 'healthcheck', 'test')).toEqual(['CMD', ...image.health]);
    expect(collector).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
    });
    expect(at(collector, 'environment')).toBeUndefined();
  });

  it('let nginx end TLS inside of the network of the collector, which listens on loopback only', () => {
    const command = at(proxied, 'services', 'collector', 'command') as string[];
    const listen = command[command.indexOf('--listen') + 1] ?? '';
    expect(listen).toMatch(/^127\.0\.0\.1:/);
    expect(read('nginx/aliquot.conf')).toContain(`server ${listen};`);
    expect(read('caddy/Caddyfile')).toContain(`reverse_proxy ${listen} `);
    expect(command[command.indexOf('--trusted-proxy') + 1]).toBe('127.0.0.1');
    expect(at(proxied, 'services', 'collector', 'healthcheck', 'test')).toEqual([
      'CMD',
      ...image.health,
      listen.split(':')[1],
    ]);
    expect(at(proxied, 'services', 'nginx', 'network_mode')).toBe('service:collector');
    // Compose publishes the port of the service whose network it is.
    expect(read('nginx/aliquot.conf')).toContain(`listen ${image.port} ssl;`);
  });
});

describe('the manifests for Kubernetes', () => {
  const pod = at(statefulSet, 'spec', 'template', 'spec');
  const container = at(pod, 'containers', 0);
  const initial = at(job, 'spec', 'template', 'spec');

  it('run one collector as the image has it: user, port, folders, and its own command', () => {
    expect(at(statefulSet, 'spec', 'replicas')).toBe(1);
    expect(at(container, 'ports')).toEqual([{ name: 'collector', containerPort: image.port }]);
    expect(at(container, 'args')).toBeUndefined();
    expect(at(container, 'command')).toBeUndefined();
    const mounts = at(container, 'volumeMounts') as { name: string; mountPath: string }[];
    expect(mounts.map(({ mountPath }) => mountPath)).toEqual([
      image.volume,
      dirname(option('--tls-cert')),
      '/tmp',
    ]);
    const volumes = at(pod, 'volumes') as Tree[];
    expect(volumes.map((volume) => volume['name']).toSorted()).toEqual(
      mounts.map(({ name }) => name).toSorted(),
    );
    // A secret of type kubernetes.io/tls has these two names in it.
    expect(
      [option('--tls-cert'), option('--tls-key')].map((path) => path.split('/').at(-1)),
    ).toEqual(['tls.crt', 'tls.key']);
  });

  it('give neither the collector nor its making any right: no root, no capability, no writable image, no token of the cluster', () => {
    for (const spec of [pod, initial]) {
      expect(at(spec, 'securityContext')).toMatchObject({
        runAsNonRoot: true,
        runAsUser: uid,
        runAsGroup: uid,
        fsGroup: uid,
      });
      expect(at(spec, 'securityContext', 'seccompProfile', 'type')).toBe('RuntimeDefault');
      expect(at(spec, 'automountServiceAccountToken')).toBe(false);
      expect(at(spec, 'containers', 0, 'securityContext')).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
    }
  });

  it('ask whether the collector answers, never whether all is well, and give it an hour to start', () => {
    const { path } = at(container, 'livenessProbe', 'httpGet') as { path: string };
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
      expect(at(container, probe, 'httpGet'), probe).toEqual({
        path,
        port: 'collector',
        scheme: 'HTTPS',
      });
    }
    // The same that the image's health check asks, and that the collector serves.
    expect(read('container/alive.ts')).toContain(`path: '${path}'`);
    expect(read('../collector/src/rest/server.ts')).toContain(`app.get('${path}'`);
    const [period, failures] = ['periodSeconds', 'failureThreshold'].map((key) =>
      Number(at(container, 'startupProbe', key)),
    );
    expect((period ?? 0) * (failures ?? 0)).toBeGreaterThanOrEqual(3600);
  });

  it('fit each other: labels, names of ports, the claim, the folder that is made and served', () => {
    const labels = at(statefulSet, 'spec', 'template', 'metadata', 'labels');
    expect(at(statefulSet, 'spec', 'selector', 'matchLabels')).toEqual(labels);
    expect(at(service, 'spec', 'selector')).toEqual(labels);
    expect(at(service, 'metadata', 'name')).toBe(at(statefulSet, 'spec', 'serviceName'));
    expect(at(service, 'spec', 'ports')).toEqual([
      { name: 'collector', port: image.port, targetPort: 'collector' },
    ]);
    // What makes the collector never answers for it.
    expect(at(job, 'spec', 'template', 'metadata', 'labels')).not.toEqual(labels);
    for (const spec of [pod, initial]) {
      expect(at(spec, 'volumes', 0, 'persistentVolumeClaim', 'claimName')).toBe(
        at(claim, 'metadata', 'name'),
      );
      expect(at(spec, 'containers', 0, 'volumeMounts', 0)).toEqual({
        name: 'data',
        mountPath: image.volume,
      });
    }
    const args = at(initial, 'containers', 0, 'args') as string[];
    expect(args.slice(0, 3)).toEqual(['init', '--data', option('--data')]);
    expect(at(initial, 'containers', 0, 'image')).toBe(at(container, 'image'));
  });
});

describe('the role for Ansible', () => {
  const role = (path: string): unknown =>
    parseAllDocuments(read(`ansible/roles/aliquot_agent/${path}`), { strict: true })[0]?.toJS();
  const tasks = ['tasks/main.yml', 'tasks/present.yml', 'tasks/absent.yml'].map(
    (path) => role(path) as readonly Tree[],
  );
  const all = tasks
    .flat()
    .flatMap((task) => [
      task,
      ...((task['block'] ?? []) as Tree[]),
      ...((task['always'] ?? []) as Tree[]),
    ]);

  it('has a default for each of its variables, and names each task', () => {
    const text = [
      'tasks/main.yml',
      'tasks/present.yml',
      'tasks/absent.yml',
      'handlers/main.yml',
    ].map((path) => read(`ansible/roles/aliquot_agent/${path}`));
    const registered = all.flatMap((task) =>
      typeof task['register'] === 'string' ? [task['register']] : [],
    );
    const used = new Set(
      text.flatMap((one) => [...one.matchAll(/\baliquot_agent_[a-z]+\b/g)].map(([name]) => name)),
    );
    const given = Object.keys(role('defaults/main.yml') as Tree);
    expect([...used].filter((name) => !registered.includes(name)).toSorted()).toEqual(
      given.toSorted(),
    );
    for (const task of all) expect(task['name'], JSON.stringify(task)).toBeTypeOf('string');
  });

  it('never shows the bundle, and leaves none behind', () => {
    const copies = all.filter((task) =>
      JSON.stringify(task['ansible.builtin.copy'] ?? '').includes('aliquot_agent_bundle'),
    );
    expect(copies).toHaveLength(1);
    expect(copies[0]).toMatchObject({
      no_log: true,
      diff: false,
      'ansible.builtin.copy': { mode: '0600' },
    });
    const enrolment = all.find((task) => task['block'] !== undefined);
    expect(at(enrolment, 'always', 0, 'ansible.builtin.file', 'state')).toBe('absent');
  });

  it('speaks of the folders and names that the packages have', () => {
    const unit = read('linux/agent/agent.service');
    for (const path of ['/var/lib/aliquot-agent', '/etc/aliquot-agent/agent.yaml']) {
      expect(unit).toContain(path);
      expect(read('ansible/roles/aliquot_agent/tasks/present.yml')).toContain(path);
    }
  });
});
