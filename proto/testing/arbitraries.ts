/** Random values of every type of the formats, for property tests here and nowhere in a program. */
import fc from 'fast-check';
import * as proto from '../src/index.ts';

const ofLength = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const upTo = (minLength: number, maxLength: number) => fc.uint8Array({ minLength, maxLength });

const hash = ofLength(32);
const signature = ofLength(64);
const vaultId = ofLength(16).map(proto.asVaultId);
const agentId = ofLength(16).map(proto.asAgentId);
const lineageId = ofLength(16).map(proto.asLineageId);
const groupId = ofLength(16).map(proto.asGroupId);
const holdId = ofLength(16).map(proto.asHoldId);
const purgeId = ofLength(16).map(proto.asPurgeId);
const chainId = ofLength(16).map(proto.asChainId);
const collectorId = ofLength(16).map(proto.asCollectorId);
const sourceId = ofLength(16).map(proto.asSourceId);
const fileId = ofLength(16).map(proto.asFileId);
const chunkId = hash.map(proto.asChunkId);
const commitHash = hash.map(proto.asCommitHash);

const timeMs = fc.oneof(
  fc.constant(0),
  fc.constant(proto.MAX_TIME_MS),
  fc.nat({ max: proto.MAX_TIME_MS }),
);
const counter = fc.oneof(
  fc.constantFrom(0, 1, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER),
  fc.maxSafeNat(),
);
const positive = counter.map((n) => Math.max(1, n));
const uint32 = fc.oneof(
  fc.constantFrom(0, 1, 127, 128, 2 ** 31, 2 ** 32 - 1),
  fc.nat({ max: 2 ** 32 - 1 }),
);
const positive32 = uint32.map((n) => Math.max(1, n));
const versionNumber = fc.integer({ min: 1, max: proto.MAX_VERSION_NUMBER });
const version = fc.constant(1 as const);
const flag = fc.boolean();
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

const name = fc.constantFrom(
  'Proteomics',
  'Größe µ-Labor 7',
  '質量分析',
  'نمی‌دانم',
  '🧪 lab',
  'x'.repeat(128),
);
const agentName = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);
const policyClass = fc.stringMatching(/^[a-z0-9-]{1,64}$/);
const problemCode = fc.stringMatching(/^[a-z][a-z0-9]{0,20}(-[a-z0-9]{1,20}){0,2}$/);
const line = fc.oneof(
  fc.constantFrom('', 'laptop stolen', ' “quoted” '),
  fc.stringMatching(/^[ -~]{0,80}$/),
);

const signed = fc.record<proto.Signed>({ body: upTo(1, 80), signature });
const settings = fc.record<proto.Settings>({ settings: signed, certificate: maybe(signed) });
const groups = fc.uniqueArray(agentName, { maxLength: 3 });
const settingsText = fc.constantFrom(
  'logLevel: info\n',
  'sources:\n  - path: /data/größe\n',
  'line 3: must be a number',
);
const treeHead = fc.record<proto.TreeHead>({ logEpoch: uint32, size: counter, root: hash });
const chainPoint = fc.record<proto.ChainPoint>({ chainId, sequence: positive, hash: commitHash });
const proof = fc.array(hash, { maxLength: 8 });

const ref = fc.record<proto.Ref>({
  id: chunkId,
  plainSize: fc.integer({ min: 1, max: proto.MAX_CHUNK_PLAIN_BYTES }),
  epoch: positive32,
});
const content = fc.oneof(
  fc.record<proto.Content>({
    depth: fc.nat({ max: proto.MAX_PAGE_DEPTH }),
    piece: fc.constant(0),
    refs: fc.array(ref, { minLength: 1, maxLength: 6 }),
  }),
  fc.record<proto.Content>({
    depth: fc.constant(0),
    piece: fc.integer({ min: 1, max: proto.MAX_SLAB_PIECES }),
    refs: fc.tuple(
      fc.record<proto.Ref>({
        id: chunkId,
        plainSize: fc.integer({ min: 1, max: proto.MAX_PIECE_PLAIN_BYTES }),
        epoch: positive32,
      }),
    ),
  }),
);
/** Pieces of a slab, some of them not here; at least one is. */
export const slabPieces: fc.Arbitrary<proto.SlabPiece[]> = fc
  .array(fc.record({ sealed: upTo(2, 60), hash, isHere: fc.boolean() }), {
    minLength: 1,
    maxLength: 20,
  })
  .map((pieces) =>
    pieces.map(({ sealed, hash, isHere }) => ({
      length: sealed.length,
      hash,
      sealed: isHere || pieces.every((piece) => !piece.isHere) ? sealed : undefined,
    })),
  );
export const pageContent: fc.Arbitrary<proto.References> = fc.record<proto.References>({
  depth: fc.nat({ max: proto.MAX_PAGE_DEPTH - 1 }),
  refs: fc.array(ref, { minLength: 1, maxLength: 20 }),
});
const noContent: proto.Content = { depth: 0, piece: 0, refs: [] };
const sizeOf = (value: proto.Content) =>
  value.refs.reduce((sum, { plainSize }) => sum + plainSize, 0);

const completion = fc.constantFrom<proto.Completion>('assumed', 'proven');
const otherKind = fc.constantFrom<proto.EntryKind>('directory', 'symlink', 'gone');

const nonZero = (min: number) =>
  fc
    .array(fc.integer({ min: 1, max: 255 }), { minLength: min, maxLength: 60 })
    .map((b) => Uint8Array.from(b));
const mtimeNs = fc.oneof(
  fc.constantFrom(0n, -1n, 2n ** 63n - 1n, -(2n ** 63n)),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
);

const listPart = fc
  .record({
    platform: fc.constantFrom<proto.Platform>('posix', 'windows'),
    path: nonZero(1),
    resultPathLength: fc.nat({ max: 1 }),
    mtimeNs,
    mode: fc.nat({ max: proto.MAX_MODE }),
    attributes: uint32,
    linkTarget: nonZero(0),
  })
  .map(
    (part): proto.ListPart =>
      part.platform === 'windows' ? { ...part, mode: 0 } : { ...part, attributes: 0 },
  );

const entryDraft = fc
  .record({
    kind: fc.oneof(fc.constant<proto.EntryKind>('file'), otherKind),
    sourceId,
    class: policyClass,
    fileId,
    capturedAtMs: timeMs,
    completion,
    content: fc.oneof(content, fc.constant(noContent)),
    resultId: maybe(ofLength(16).map((id) => id as proto.ResultId)),
    list: listPart,
    sha256: hash,
    key: hash,
    target: nonZero(1),
    grows: fc.boolean(),
  })
  .map(({ sha256, key, target, grows, ...value }): proto.EntryDraft => {
    const list = {
      ...value.list,
      linkTarget: value.kind === 'symlink' ? target : new Uint8Array(0),
    };
    if (value.kind !== 'file')
      return { ...value, list, size: 0, content: noContent, read: undefined };
    const keys = value.content.refs.map(() => key);
    if (grows && value.content.piece === 0)
      return {
        ...value,
        completion: 'growing',
        list,
        size: sizeOf(value.content),
        read: { sha256: new Uint8Array(0), keys },
      };
    return { ...value, list, size: sizeOf(value.content), read: { sha256, keys } };
  });

const commitHeader = fc
  .record({
    version,
    vaultId,
    agentId,
    chainId,
    sequence: positive,
    predecessor: fc
      .array(fc.integer({ min: 1, max: 255 }), { minLength: 32, maxLength: 32 })
      .map((b) => proto.asCommitHash(Uint8Array.from(b))),
    agentTimeMs: timeMs,
    treeHead: maybe(treeHead),
    entryCount: fc.integer({ min: 1, max: proto.MAX_COMMIT_ENTRIES }),
    entriesRoot: hash,
    rowsHash: hash,
    blocksHash: hash,
    wrapsHash: hash,
    chunkerVersion: versionNumber,
    encoderVersion: versionNumber,
    forkedFrom: maybe(chainPoint),
    summaryHash: hash,
  })
  .map((header): proto.CommitHeader => {
    if (header.sequence === 1)
      return { ...header, predecessor: proto.asCommitHash(new Uint8Array(32)) };
    const { forkedFrom, predecessor, sequence } = header;
    return {
      ...header,
      forkedFrom: forkedFrom && {
        chainId: forkedFrom.chainId,
        sequence: sequence - 1,
        hash: predecessor,
      },
    };
  });

const wrap = fc.record<proto.Wrap>({
  version,
  recipient: fc.constantFrom<proto.WrapRecipient>('vault', 'catalog', 'agent', 'grant'),
  purpose: fc.constantFrom<proto.WrapPurpose>('list', 'read'),
  recipientKey: hash,
  ephemeralKey: hash,
  box: ofLength(48),
});

const indexesBelow = (limit: number) =>
  fc
    .uniqueArray(fc.nat({ max: limit - 1 }), { maxLength: 12 })
    .map((numbers) => numbers.sort((a, b) => a - b));
const live = indexesBelow(proto.MAX_COMMIT_ENTRIES);
/** Marks of a summary, 8 bytes each, rising. */
const marks = fc
  .uniqueArray(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { maxLength: 6 })
  .map((values) => {
    const bytes = new DataView(new ArrayBuffer(8 * values.length));
    const sorted = [...values].sort((a, b) => (a < b ? -1 : 1));
    for (const [at, value] of sorted.entries()) bytes.setBigUint64(8 * at, value);
    return new Uint8Array(bytes.buffer);
  });

const wholeBlock = {
  block: upTo(1, 100),
  root: hash,
  listBox: ofLength(proto.BLOCK_KEY_BOX_BYTES),
  readBox: ofLength(proto.BLOCK_KEY_BOX_BYTES),
  gone: fc.constant(undefined),
};
const formerMarks = fc.integer({ min: 1, max: 20 }).chain((rows) => {
  return ofLength(rows * proto.SUMMARY_MARK_BYTES);
});
const heldBlock = fc.oneof(
  fc.record<proto.CommitBlock>({
    ...wholeBlock,
    formerDigest: fc.constant(undefined),
    formerMarks: fc.constant(undefined),
  }),
  fc.record<proto.CommitBlock>({ ...wholeBlock, formerDigest: hash, formerMarks }),
);
const nothing = fc.constant(new Uint8Array(0));
const goneBlock = fc.record<proto.CommitBlock>({
  ...{ block: nothing, root: hash, listBox: nothing, readBox: nothing, formerDigest: hash },
  ...{ formerMarks, gone: fc.record({ rowsHash: hash }) },
});
const commitBlock = fc.oneof({ weight: 3, arbitrary: heldBlock }, goneBlock);

const blockFacts = fc
  .uniqueArray(fc.nat(proto.MAX_COMMIT_BLOCKS - 1), { minLength: 1, maxLength: 4 })
  .chain((blocks) => {
    const rising = [...blocks].sort((a, b) => a - b);
    return fc.tuple(...rising.map((block) => upTo(1, 60).map((rows) => ({ block, rows }))));
  });

const signedCommit = fc
  .record({
    header: upTo(32, 200),
    signature,
    blocks: fc.array(commitBlock, { minLength: 1, maxLength: 6 }),
    wraps: fc.array(wrap, { maxLength: 4 }),
    headerOnly: flag,
    lacking: live,
    lossSignature: maybe(signature),
  })
  .map((commit): proto.SignedCommit => {
    if (commit.headerOnly) return { ...commit, blocks: [], wraps: [], lacking: [] };
    const lossSignature = commit.lacking.length === 0 ? undefined : commit.signature;
    return { ...commit, lossSignature };
  });

const dedupSecrets = fc
  .array(positive32, { minLength: 1, maxLength: 4 })
  .map((epochs) =>
    [...new Set(epochs)]
      .sort((a, b) => a - b)
      .map((epoch): proto.DedupSecret => ({ epoch, secret: new Uint8Array(32).fill(epoch) })),
  );

const parameters = fc
  .array(fc.integer({ min: proto.MIN_CHUNK_PLAIN_BYTES, max: proto.MAX_CHUNK_PLAIN_BYTES }), {
    minLength: 3,
    maxLength: 3,
  })
  .map((sizes): proto.VaultParameters => {
    const [minChunkBytes = 0, averageChunkBytes = 0, maxChunkBytes = 0] = sizes.sort(
      (a, b) => a - b,
    );
    return {
      chunkerVersion: 1,
      minChunkBytes,
      averageChunkBytes,
      maxChunkBytes,
      encoderVersion: 1,
    };
  });

const releaseVersion = fc.constantFrom('0.2.0', '10.0.1-rc.1', '1.2.3+build.5');
const releaseFile = fc.constantFrom(
  'metadata/timestamp.json',
  'metadata/3.root.json',
  'targets/ab.program-0.2.0-linux-x64.tar.zst',
);

/** Each once, in rising order. */
const rising = <T extends string | Uint8Array>(one: fc.Arbitrary<T>, maxLength: number) =>
  fc
    .uniqueArray(one, { maxLength, selector: String })
    .map((all) =>
      all.sort((a, b) =>
        typeof a === 'string' ? (a < b ? -1 : 1) : Buffer.compare(a, b as Uint8Array),
      ),
    );
const someLine = fc.stringMatching(/^[!-~]{1,80}$/);

const hold = fc
  .record({
    version,
    vaultId,
    holdId,
    name: agentName,
    reason: someLine,
    owner: someLine,
    agents: rising(fc.stringMatching(/^[A-Za-z0-9*][A-Za-z0-9._*~-]{0,20}$/), 4),
    lineageIds: rising(lineageId, 4),
    classes: rising(policyClass, 4),
    times: fc.tuple(timeMs, timeMs),
    paths: maybe(upTo(49, 120)),
  })
  .map(({ times, ...body }): proto.HoldBody => {
    const [fromMs = 0, toMs = 0] = times.sort((a, b) => a - b);
    const lineageIds = body.agents.length === 0 ? [] : body.lineageIds;
    return { ...body, lineageIds, fromMs, toMs };
  });
const ranBefore = {
  ...{ type: fc.constant('retentionRan' as const), timeMs, run: positive, policy: counter },
  ...{ versions: positive, bytes: counter, sum: hash },
};
const retentionBrake: fc.Arbitrary<proto.RetentionBrake> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('bytes' as const, 'bytes-in-days' as const),
    agent: fc.constant(''),
    ...{ of: counter, expiring: positive },
  }),
  fc.record({
    kind: fc.constantFrom('versions' as const, 'versions-in-days' as const),
    agent: fc.constant('hplc-1'),
    ...{ of: counter, expiring: positive },
  }),
);

const event = fc.oneof<fc.Arbitrary<proto.EventBody>[]>(
  fc.record({
    type: fc.constant('vaultAdded' as const),
    timeMs,
    descriptor: signed,
    collectorCertificate: signed,
  }),
  fc.record({ type: fc.constant('agentExpected' as const), timeMs, enrolment: signed }),
  fc.record({
    type: fc.constant('agentEnrolled' as const),
    timeMs,
    enrolment: signed,
    binding: signed,
  }),
  fc
    .record({
      type: fc.constant('agentRevoked' as const),
      timeMs,
      agentId,
      reason: line,
      revocation: maybe(signed),
      operator: maybe(signed),
    })
    .map((event) => (event.revocation === undefined ? { ...event, operator: undefined } : event)),
  fc.record({
    type: fc.constant('headReported' as const),
    timeMs,
    agentId,
    head: signed,
    collectorCertificate: signed,
  }),
  fc.record({ type: fc.constant('epochOpened' as const), timeMs, opening: signed }),
  fc.record({ type: fc.constant('chainForked' as const), timeMs, agentId, at: chainPoint }),
  fc.record({
    type: fc.constant('gcEpochAnnounced' as const),
    ...{ timeMs, gcEpoch: positive, lineageId },
  }),
  fc.record({ type: fc.constant('agentLost' as const), timeMs, agentId, reason: line }),
  fc.record({ type: fc.constant('agentFound' as const), timeMs, agentId }),
  fc.record({ type: fc.constant('problemsAcknowledged' as const), timeMs, agentId }),
  fc.record({ type: fc.constant('addressesSet' as const), timeMs, addresses: signed }),
  fc.record({
    type: fc.constant('releaseAdded' as const),
    timeMs,
    version: releaseVersion,
    targetsHash: hash,
  }),
  fc.record({ type: fc.constant('releaseRemoved' as const), timeMs, version: releaseVersion }),
  fc.record({ type: fc.constant('clockConfirmed' as const), timeMs, heldMs: timeMs }),
  fc.record({ type: fc.constant('clockCorrected' as const), timeMs, correction: signed }),
  fc.oneof(
    fc.record({
      ...ranBefore,
      records: fc.integer({ min: 1, max: 9 }),
      undoUntilMs: fc.integer({ min: 1, max: 2 ** 42 }),
      approves: counter,
      brakes: fc.constant([]),
    }),
    fc.record({
      ...ranBefore,
      ...{ records: fc.constant(0), undoUntilMs: fc.constant(0), approves: fc.constant(0) },
      brakes: fc.array(retentionBrake, { minLength: 1, maxLength: 3 }),
    }),
  ),
  fc.record({
    type: fc.constant('retentionApproved' as const),
    timeMs,
    approval: signed,
    certificate: maybe(signed),
  }),
  fc.record({ type: fc.constant('retentionUndone' as const), timeMs, run: positive }),
  fc.record({
    type: fc.constant('policySet' as const),
    timeMs,
    policy: signed,
    certificate: maybe(signed),
    sealed: upTo(1, 60),
  }),
  fc.record({
    type: fc.constant('settingsSet' as const),
    timeMs,
    settings: signed,
    certificate: maybe(signed),
    waits: flag,
  }),
  fc.record({
    type: fc.constant('diagnosisAsked' as const),
    timeMs,
    request: signed,
    certificate: signed,
  }),
  fc.record({
    type: fc.constant('settingsPromoted' as const),
    timeMs,
    sequence: positive,
    automatic: flag,
  }),
  fc.record({ type: fc.constant('holdSet' as const), timeMs, hold }),
  fc.record({ type: fc.constant('holdResolved' as const), timeMs, resolution: signed }),
  fc.record({
    type: fc.constant('holdReleased' as const),
    timeMs,
    release: signed,
    operator: maybe(signed),
  }),
  fc.record({
    type: fc.constant('purgeOrdered' as const),
    timeMs,
    order: signed,
    operator: signed,
  }),
  fc.record({
    type: fc.constant('purgeApproved' as const),
    timeMs,
    approval: signed,
    operator: signed,
  }),
  fc.record({
    type: fc.constant('purgeCancelled' as const),
    timeMs,
    cancellation: signed,
    operator: maybe(signed),
  }),
  fc.record({ type: fc.constant('groupAdded' as const), timeMs, group: signed }),
  fc.record({ type: fc.constant('groupEnded' as const), timeMs, groupId }),
  fc.record({
    type: fc.constant('agentPending' as const),
    timeMs,
    enrolment: signed,
    binding: signed,
  }),
  fc.record({
    type: fc.constant('agentApproved' as const),
    timeMs,
    approval: signed,
    operator: maybe(signed),
  }),
  fc.record({
    type: fc.constant('filesGone' as const),
    timeMs,
    agentId,
    fileIds: fc.array(fileId, { minLength: 1, maxLength: 4 }),
  }),
  fc
    .record({
      type: fc.constant('forkDecided' as const),
      timeMs,
      agentId,
      branchId: lineageId,
      decision: fc.constantFrom<proto.ForkDecision>('clone', 'restored'),
      name: agentName,
    })
    .map((body) => (body.decision === 'clone' ? body : { ...body, name: '' })),
);

const term = fc.constantFrom<proto.TermUnit>('d', 'w', 'mo', 'y').chain((unit) =>
  fc.record<proto.Term>({
    count: fc.integer({ min: 1, max: proto.maxTermCounts[unit] }),
    unit: fc.constant(unit),
  }),
);
const keepCount = fc.nat({ max: proto.MAX_KEEP_COUNT });
/** Marks of two sources of each lineage. */
const ruleSources = marks.chain((lineages) =>
  fc
    .array(
      fc.constantFrom(1, 3).map((first) => [...filledMark(first), ...filledMark(first + 1)]),
      { minLength: lineages.length / 8, maxLength: lineages.length / 8 },
    )
    .map((of): proto.RuleSources => ({ lineages, sources: Uint8Array.from(of.flat()) })),
);
const filledMark = (byte: number) => new Uint8Array(8).fill(byte);
const retentionRules = fc.record<proto.RetentionRules>({
  rules: fc.array(
    fc.record<proto.RetentionRule>({
      match: fc.record<proto.RuleMatch>({
        classes: maybe(fc.array(policyClass, { minLength: 1, maxLength: 3 })),
        agents: maybe(
          fc.array(fc.constantFrom('hplc-*', '*', 'a'), { minLength: 1, maxLength: 3 }),
        ),
        sources: maybe(ruleSources),
      }),
      lock: maybe(term),
      keep: fc.oneof(
        fc.constant('all' as const),
        fc.record<proto.KeepRule>({
          within: term,
          ...{ daily: keepCount, weekly: keepCount, monthly: keepCount, yearly: keepCount },
          last: keepCount,
        }),
      ),
      gone: fc.oneof(fc.constant('forever' as const), term),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  grace: term,
});

const requestId = uint32;
const ids = fc.array(chunkId, { minLength: 1, maxLength: 8 });
const item = fc.record<proto.StoredItem>({
  id: chunkId,
  kind: fc.constantFrom<proto.StoredKind>('chunk', 'page'),
  size: fc.integer({ min: 1, max: 100_000 }),
});

const clientFrame = fc.oneof<fc.Arbitrary<proto.ClientFrame>[]>(
  fc.record({
    type: fc.constant('auth' as const),
    enrolment: signed,
    binding: signed,
    signature,
    software: fc.constantFrom('aliquot-agent 0.1.0', 'x'),
    chainId,
    treeHead: maybe(treeHead),
    signedHead: maybe(signed),
    signedHeadCertificate: maybe(signed),
    addressesRevision: counter,
    settingsSequence: counter,
  }),
  fc.record({ type: fc.constant('have' as const), requestId, ids }),
  fc.record({
    type: fc.constant('chunks' as const),
    items: fc.array(item, { minLength: 1, maxLength: 6 }),
  }),
  fc.record({ type: fc.constant('commit' as const), requestId }),
  fc.record({ type: fc.constant('heartbeat' as const), requestId }),
  fc.record({ type: fc.constant('state' as const), requestId, atMs: timeMs }),
  fc.record({ type: fc.constant('fetch' as const), requestId, ids }),
  fc.record({
    type: fc.constant('settingsAnswer' as const),
    sequence: positive,
    outcome: fc.constant<proto.SettingsOutcome>('applied'),
    code: fc.constant(''),
    ephemeralKey: fc.constant(undefined),
    sealed: fc.constant(undefined),
  }),
  fc.record({
    type: fc.constant('settingsAnswer' as const),
    sequence: positive,
    outcome: fc.constantFrom<proto.SettingsOutcome>('refused', 'cannot'),
    code: fc.constant('SETTINGS_OLD'),
    ephemeralKey: hash,
    sealed: upTo(17, 60),
  }),
  fc.record({ type: fc.constant('gcLearned' as const), gcEpoch: counter }),
  fc.oneof(
    fc.record({
      type: fc.constant('diagnosis' as const),
      askId: ofLength(16),
      code: fc.constant(''),
      ephemeralKey: hash,
    }),
    fc.record({
      type: fc.constant('diagnosis' as const),
      askId: ofLength(16),
      code: fc.constantFrom('CERT_EXPIRED', 'DIAGNOSIS_NOT_NOW'),
      ephemeralKey: fc.constant(undefined),
    }),
  ),
  fc.record({
    type: fc.constant('releaseFetch' as const),
    requestId,
    name: releaseFile,
    offset: fc.nat({ max: proto.MAX_RELEASE_FILE_BYTES }),
  }),
);

const refusalCode = fc.constantFrom<proto.RefusalCode>(
  'bad-signature',
  'bad-certificate',
  'bad-predecessor',
  'chain-forked',
  'bad-commit',
  'revoked',
  'not-enrolled',
  'replaced',
  'log-rolled-back',
  'self-restore-off',
  'protocol',
  'limit',
  'storage',
  'pending',
);

const serverFrame = fc.oneof<fc.Arbitrary<proto.ServerFrame>[]>(
  fc.record({
    type: fc.constant('ready' as const),
    sessionId: upTo(1, 32),
    creditBytes: counter,
    timeMs,
    head: signed,
    consistency: proof,
    openings: fc.array(fc.record({ opening: signed, leaf: upTo(1, 60), inclusion: proof }), {
      maxLength: 3,
    }),
    chainHead: maybe(chainPoint),
    gcEpoch: counter,
    rolledBack: flag,
    software: fc.constantFrom('', 'aliquot 0.1.0'),
  }),
  fc.record({
    type: fc.constant('haveAnswer' as const),
    requestId,
    missing: indexesBelow(proto.MAX_IDS),
  }),
  fc.record({ type: fc.constant('credit' as const), bytes: positive }),
  fc.record({
    type: fc.constant('receipt' as const),
    requestId,
    receipt: signed,
    inclusion: proof,
    consistency: proof,
    head: signed,
    lacking: live,
  }),
  fc.record({ type: fc.constant('commitMissing' as const), requestId, ids }),
  fc.record({ type: fc.constant('refused' as const), requestId, code: refusalCode, message: line }),
  fc.record({ type: fc.constant('heartbeatAck' as const), requestId }),
  fc.record({ type: fc.constant('commitData' as const), requestId, live, receivedAtMs: timeMs }),
  fc.record({ type: fc.constant('stateEnd' as const), requestId }),
  fc.record({
    type: fc.constant('chunkData' as const),
    requestId,
    items: fc.array(item, { maxLength: 6 }),
    last: flag,
    missing: fc.array(chunkId, { maxLength: 4 }),
  }),
  fc.record({
    type: fc.constant('notice' as const),
    code: fc.constantFrom('clock-skew', 'new-epoch'),
    message: line,
  }),
  fc.record({ type: fc.constant('gcEpoch' as const), gcEpoch: counter }),
  fc.record({
    type: fc.constant('settings' as const),
    settings: signed,
    certificate: maybe(signed),
  }),
  fc.record({ type: fc.constant('addresses' as const), addresses: signed }),
  fc.record({ type: fc.constant('diagnose' as const), request: signed, certificate: signed }),
  fc.record({
    type: fc.constant('releaseData' as const),
    requestId,
    size: fc.nat({ max: proto.MAX_RELEASE_FILE_BYTES }),
  }),
);

/**
 * One type's door with random values for it. Values are compared by the tests, so their type is not
 * needed there.
 */
export interface Door {
  readonly encode: (value: never) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly values: fc.Arbitrary<unknown>;
}

function door<T>(
  encode: (value: T) => Uint8Array,
  decode: (bytes: Uint8Array) => T,
  values: fc.Arbitrary<T>,
): Door {
  return { encode, decode, values };
}

/** Slots of some leaves, in their order. */
const leafSlots = fc
  .uniqueArray(fc.tuple(counter, upTo(0, 40), fc.integer({ min: 1, max: 255 })), {
    minLength: 1,
    maxLength: 6,
    selector: ([leafIndex]) => leafIndex,
  })
  .map((leaves): proto.LeafSlots[] =>
    leaves
      .sort(([a], [b]) => a - b)
      .map(([leafIndex, some, last]) => ({ leafIndex, slots: new Uint8Array([...some, last]) })),
  );

/** Every door that is a protobuf message, under the name of its section in FORMAT.md or WIRE.md. */
export const doors: Readonly<Record<string, Door>> = {
  Signed: door(proto.encodeSigned, proto.decodeSigned, signed),
  TreeHead: door(proto.encodeTreeHead, proto.decodeTreeHead, treeHead),
  EntryDraft: door(proto.encodeEntryDraft, proto.decodeEntryDraft, entryDraft),
  CommitHeader: door(proto.encodeCommitHeader, proto.decodeCommitHeader, commitHeader),
  Wrap: door(proto.encodeWrap, proto.decodeWrap, wrap),
  SignedCommit: door(proto.encodeSignedCommit, proto.decodeSignedCommit, signedCommit),
  HeartbeatBody: door(
    proto.encodeHeartbeatBody,
    proto.decodeHeartbeatBody,
    fc.record<proto.HeartbeatBody>({
      version,
      vaultId,
      agentId,
      chainId,
      timeMs,
      files: counter,
      bytes: counter,
      queuedEntries: counter,
      unprotected: counter,
      chainHead: maybe(chainPoint),
      treeHead: maybe(treeHead),
      pending: counter,
      unsettled: counter,
      problems: fc
        .uniqueArray(
          fc.record<proto.ProblemCount>({ code: problemCode, count: positive, sinceMs: timeMs }),
          {
            maxLength: 6,
            selector: ({ code }) => code,
          },
        )
        .map((problems) => problems.sort((a, b) => (a.code < b.code ? -1 : 1))),
    }),
  ),
  ReceiptBody: door(
    proto.encodeReceiptBody,
    proto.decodeReceiptBody,
    fc
      .record({
        version,
        vaultId,
        collectorId,
        agentId,
        chainId,
        sequence: positive,
        commitHash,
        receivedAtMs: timeMs,
        leafIndex: fc.nat({ max: Number.MAX_SAFE_INTEGER - 1 }),
        head: treeHead,
        copies: positive32,
        lossHash: maybe(hash),
      })
      .map(
        (body): proto.ReceiptBody => ({
          ...body,
          head: { ...body.head, size: body.leafIndex + 1 },
        }),
      ),
  ),
  TreeHeadBody: door(
    proto.encodeTreeHeadBody,
    proto.decodeTreeHeadBody,
    fc.record<proto.TreeHeadBody>({ version, vaultId, collectorId, timeMs, head: treeHead }),
  ),
  LogLeaf: door(
    proto.encodeLogLeaf,
    proto.decodeLogLeaf,
    fc.record({ version, timeMs, subject: hash, agentId: maybe(agentId) }).map(
      (leaf): proto.LogLeaf => ({
        ...leaf,
        type:
          leaf.agentId !== undefined ? 'commit' : leaf.timeMs % 2 === 0 ? 'event' : 'correction',
      }),
    ),
  ),
  ClockCorrectionBody: door(
    proto.encodeClockCorrectionBody,
    proto.decodeClockCorrectionBody,
    fc
      .record({
        version,
        vaultId,
        head: treeHead,
        leaves: positive,
        times: fc.tuple(timeMs, timeMs).filter(([from, to]) => from !== to),
        isMs: timeMs,
        bounds: fc.tuple(timeMs, timeMs),
      })
      .map(({ head, leaves, times, bounds, ...body }): proto.ClockCorrectionBody => {
        const size = Math.max(head.size, 1);
        const [fromMs = 0, toMs = 0] = times.sort((a, b) => a - b);
        const [notBeforeMs = 0, notAfterMs = 0] = bounds.sort((a, b) => a - b);
        const fromLeaf = leaves % size;
        return {
          ...body,
          head: { ...head, size },
          fromLeaf,
          fromMs,
          toMs,
          notBeforeMs,
          notAfterMs,
        };
      }),
  ),
  RetentionApprovalBody: door(
    proto.encodeRetentionApprovalBody,
    proto.decodeRetentionApprovalBody,
    fc.record<proto.RetentionApprovalBody>({
      ...{ version, vaultId, run: positive, sum: hash, approvedAtMs: timeMs },
    }),
  ),
  EpochOpeningBody: door(
    proto.encodeEpochOpeningBody,
    proto.decodeEpochOpeningBody,
    fc
      .record({
        version,
        vaultId,
        logEpoch: positive32,
        base: treeHead,
        lost: fc.array(treeHead, { minLength: 1, maxLength: 4 }),
        approvedAtMs: timeMs,
      })
      .map((body): proto.EpochOpeningBody => {
        const earlier = (head: proto.TreeHead): proto.TreeHead => ({
          ...head,
          logEpoch: Math.min(head.logEpoch, body.logEpoch - 1),
        });
        return { ...body, base: earlier(body.base), lost: body.lost.map(earlier) };
      }),
  ),
  EventBody: door(proto.encodeEventBody, proto.decodeEventBody, event),
  VaultDescriptorBody: door(
    proto.encodeVaultDescriptorBody,
    proto.decodeVaultDescriptorBody,
    fc.record<proto.VaultDescriptorBody>({
      version,
      vaultId,
      name,
      authorityKey: hash,
      vaultKey: hash,
      catalogKey: hash,
      blind: flag,
      parameters,
      createdAtMs: timeMs,
    }),
  ),
  CollectorCertificateBody: door(
    proto.encodeCollectorCertificateBody,
    proto.decodeCollectorCertificateBody,
    fc.record<proto.CollectorCertificateBody>({
      version,
      vaultId,
      collectorId,
      signKey: hash,
      generation: positive32,
      issuedAtMs: timeMs,
    }),
  ),
  EnrolmentCertificateBody: door(
    proto.encodeEnrolmentCertificateBody,
    proto.decodeEnrolmentCertificateBody,
    fc
      .record({
        version,
        vaultId,
        agentId,
        lineageId,
        replaces: maybe(agentId),
        name: agentName,
        enrolmentKey: hash,
        selfRestore: flag,
        dedupEpoch: positive32,
        issuedAtMs: timeMs,
        expiresAtMs: timeMs,
        lineageGroup: maybe(groupId),
      })
      .map(
        (body): proto.EnrolmentCertificateBody => ({
          ...body,
          issuedAtMs: Math.min(body.issuedAtMs, body.expiresAtMs),
          expiresAtMs: Math.max(body.issuedAtMs, body.expiresAtMs),
        }),
      ),
  ),
  AgentBindingBody: door(
    proto.encodeAgentBindingBody,
    proto.decodeAgentBindingBody,
    fc.record<proto.AgentBindingBody>({
      version,
      vaultId,
      agentId,
      signKey: hash,
      boxKey: hash,
      member: maybe(fc.record<proto.GroupMember>({ name: agentName, possession: signature })),
    }),
  ),
  GroupCertificateBody: door(
    proto.encodeGroupCertificateBody,
    proto.decodeGroupCertificateBody,
    fc
      .record<proto.GroupCertificateBody>({
        version,
        vaultId,
        name: agentName,
        groupKey: hash,
        uses: fc.integer({ min: 1, max: proto.MAX_GROUP_USES }),
        names: fc.uniqueArray(fc.stringMatching(/^[a-z0-9*][a-z0-9._*-]{0,30}$/), { maxLength: 4 }),
        approve: flag,
        selfRestore: flag,
        dedupEpoch: positive32,
        issuedAtMs: timeMs,
        expiresAtMs: timeMs,
      })
      .map((body) => ({
        ...body,
        names: [...body.names].sort(),
        expiresAtMs: Math.max(body.issuedAtMs, body.expiresAtMs),
      })),
  ),
  AgentApprovalBody: door(
    proto.encodeAgentApprovalBody,
    proto.decodeAgentApprovalBody,
    fc.record<proto.AgentApprovalBody>({
      version,
      vaultId,
      agentId,
      approvedAtMs: timeMs,
      successor: maybe(
        fc.record<proto.ApprovedSuccessor>({
          enrolment: signed,
          ephemeralKey: hash,
          pathKeyBox: ofLength(48),
        }),
      ),
    }),
  ),
  HoldBody: door(proto.encodeHoldBody, proto.decodeHoldBody, hold),
  HoldPaths: door(
    proto.encodeHoldPaths,
    proto.decodeHoldPaths,
    fc.record<proto.HoldPaths>({
      version,
      globs: fc.array(someLine, { minLength: 1, maxLength: 4 }),
    }),
  ),
  HoldResolutionBody: door(
    proto.encodeHoldResolutionBody,
    proto.decodeHoldResolutionBody,
    fc
      .record({
        version,
        vaultId,
        holdId,
        head: treeHead,
        parts: fc.tuple(
          fc.integer({ min: 1, max: proto.MAX_HOLD_PARTS }),
          fc.integer({ min: 1, max: proto.MAX_HOLD_PARTS }),
        ),
        fileIds: rising(fileId, 5),
      })
      .map(({ parts: both, ...body }): proto.HoldResolutionBody => {
        const [part = 1, parts = 1] = both.sort((a, b) => a - b);
        return { ...body, part, parts };
      }),
  ),
  HoldReleaseBody: door(
    proto.encodeHoldReleaseBody,
    proto.decodeHoldReleaseBody,
    fc.record<proto.HoldReleaseBody>({
      version,
      vaultId,
      holdId,
      releasedAtMs: timeMs,
      reason: someLine,
    }),
  ),
  PurgeOrderBody: door(
    proto.encodePurgeOrderBody,
    proto.decodePurgeOrderBody,
    fc.record<proto.PurgeOrderBody>({
      version,
      vaultId,
      purgeId,
      lineageId,
      head: treeHead,
      fileIds: rising(fileId, 5).filter((ids) => ids.length > 0),
      orderedAtMs: timeMs,
      reason: someLine,
    }),
  ),
  PurgeApprovalBody: door(
    proto.encodePurgeApprovalBody,
    proto.decodePurgeApprovalBody,
    fc.record<proto.PurgeApprovalBody>({
      version,
      vaultId,
      purgeId,
      sum: hash,
      approvedAtMs: timeMs,
    }),
  ),
  PurgeCancelBody: door(
    proto.encodePurgeCancelBody,
    proto.decodePurgeCancelBody,
    fc.record<proto.PurgeCancelBody>({
      version,
      vaultId,
      purgeId,
      cancelledAtMs: timeMs,
      reason: someLine,
    }),
  ),
  AgentRevocationBody: door(
    proto.encodeAgentRevocationBody,
    proto.decodeAgentRevocationBody,
    fc.record<proto.AgentRevocationBody>({
      version,
      vaultId,
      agentId,
      revokedAtMs: timeMs,
      reason: line,
    }),
  ),
  EventBook: door(
    proto.encodeEventBook,
    proto.decodeEventBook,
    fc.record<proto.EventBook>({
      vaultId,
      events: fc.array(upTo(1, 200), { maxLength: 4 }),
      sum: hash,
    }),
  ),
  KeptPurge: door(
    proto.encodeKeptPurge,
    proto.decodeKeptPurge,
    fc.record<proto.KeptPurge>({
      ...{ vaultId, order: upTo(1, 80), approval: upTo(1, 80) },
      ...{ commits: fc.array(upTo(1, 200), { maxLength: 4 }), sum: hash },
    }),
  ),
  KitContents: door(
    proto.encodeKitContents,
    proto.decodeKitContents,
    fc.record<proto.KitContents>({
      version,
      descriptor: signed,
      authoritySeed: hash,
      vaultSecretKey: hash,
      catalogSecretKey: hash,
      dedupSecrets,
      pathSecret: hash,
    }),
  ),
  KitFile: door(
    proto.encodeKitFile,
    proto.decodeKitFile,
    fc.record<proto.KitFile>({
      version,
      vaultName: name,
      vaultId,
      scryptLogN: fc.integer({ min: 1, max: 18 }),
      scryptR: fc.integer({ min: 1, max: 32 }),
      scryptP: fc.integer({ min: 1, max: 16 }),
      salt: upTo(16, 64),
      sealed: upTo(17, 200),
    }),
  ),
  BundleContents: door(
    proto.encodeBundleContents,
    proto.decodeBundleContents,
    fc
      .record<proto.BundleContents>({
        version,
        url: fc.constantFrom('https://collector.example:7443', 'http://127.0.0.1:7070'),
        tlsCa: fc.constantFrom(
          '',
          '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
        ),
        tlsPins: fc.array(hash, { maxLength: 2 }),
        descriptor: signed,
        collectorCertificate: signed,
        enrolment: signed,
        enrolmentSeed: hash,
        dedupSecrets,
        pathKey: hash,
        addresses: maybe(signed),
        settings: maybe(settings),
        groupSecret: maybe(hash),
      })
      .map((contents) => ({
        ...contents,
        pathKey: contents.groupSecret === undefined ? contents.pathKey : undefined,
      })),
  ),
  OperatorCertificateBody: door(
    proto.encodeOperatorCertificateBody,
    proto.decodeOperatorCertificateBody,
    fc
      .record<proto.OperatorCertificateBody>({
        version,
        vaultId,
        name: agentName,
        signKey: hash,
        boxKey: hash,
        purposes: fc.subarray([...proto.OPERATOR_PURPOSES], { minLength: 1 }),
        issuedAtMs: timeMs,
        expiresAtMs: timeMs,
      })
      .map((body) => ({ ...body, expiresAtMs: Math.max(body.issuedAtMs, body.expiresAtMs) })),
  ),
  OperatorContents: door(
    proto.encodeOperatorContents,
    proto.decodeOperatorContents,
    fc.record<proto.OperatorContents>({
      version,
      descriptor: signed,
      certificate: signed,
      signSeed: hash,
      boxSecretKey: hash,
      policySecretKey: maybe(hash),
    }),
  ),
  DiagnosisRequestBody: door(
    proto.encodeDiagnosisRequestBody,
    proto.decodeDiagnosisRequestBody,
    fc.record<proto.DiagnosisRequestBody>({
      version,
      vaultId,
      agentId,
      askId: ofLength(16),
      askedAtMs: timeMs,
    }),
  ),
  PolicyBody: door(
    proto.encodePolicyBody,
    proto.decodePolicyBody,
    fc.record<proto.PolicyBody>({
      version,
      vaultId,
      revision: positive,
      setAtMs: timeMs,
      sealedHash: hash,
      rules: maybe(retentionRules),
    }),
  ),
  RetentionRules: door(proto.encodeRetentionRules, proto.decodeRetentionRules, retentionRules),
  SettingsBody: door(
    proto.encodeSettingsBody,
    proto.decodeSettingsBody,
    fc
      .record({
        vaultId,
        agentId,
        sequence: positive,
        issuedAtMs: timeMs,
        expiresAtMs: timeMs,
        groups,
        sealed: flag,
        bytes: upTo(17, 90),
        key: hash,
      })
      .map(
        ({ sealed, bytes, key, ...body }): proto.SettingsBody => ({
          version: 1,
          ...body,
          expiresAtMs: Math.max(body.issuedAtMs, body.expiresAtMs),
          ephemeralKey: sealed ? key : undefined,
          sealed: sealed ? bytes : undefined,
          contents: sealed ? undefined : bytes,
        }),
      ),
  ),
  SettingsContents: door(
    proto.encodeSettingsContents,
    proto.decodeSettingsContents,
    fc.record<proto.SettingsContents>({ version, text: settingsText, answerKey: hash }),
  ),
  SettingsDetail: door(
    proto.encodeSettingsDetail,
    proto.decodeSettingsDetail,
    fc.record<proto.SettingsDetail>({ version, text: settingsText }),
  ),
  Settings: door(proto.encodeSettings, proto.decodeSettings, settings),
  CollectorAddressesBody: door(
    proto.encodeCollectorAddressesBody,
    proto.decodeCollectorAddressesBody,
    fc.record<proto.CollectorAddressesBody>({
      version,
      vaultId,
      revision: positive,
      addresses: fc.uniqueArray(
        fc.record<proto.CollectorAddress>({
          url: fc.webUrl({ validSchemes: ['https'] }),
          tlsCa: fc.constantFrom(
            '',
            '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
          ),
          tlsPins: fc.array(hash, { maxLength: 2 }),
        }),
        { minLength: 1, maxLength: 3, selector: ({ url }) => url },
      ),
    }),
  ),
  EnrolRequest: door(
    proto.encodeEnrolRequest,
    proto.decodeEnrolRequest,
    fc.record<proto.EnrolRequest>({ version, enrolment: signed, binding: signed }),
  ),
  EnrolAnswerBody: door(
    proto.encodeEnrolAnswerBody,
    proto.decodeEnrolAnswerBody,
    fc.record<proto.EnrolAnswerBody>({
      version,
      vaultId,
      agentId,
      bindingHash: hash,
      enrolledAtMs: timeMs,
      head: treeHead,
      pending: flag,
    }),
  ),
  EnrolAnswer: door(
    proto.encodeEnrolAnswer,
    proto.decodeEnrolAnswer,
    fc.record<proto.EnrolAnswer>({
      answer: signed,
      collectorCertificate: signed,
      approval: maybe(signed),
    }),
  ),
  ClientHello: door(
    proto.encodeClientHello,
    proto.decodeClientHello,
    fc.record<proto.ClientHello>({
      versions: fc.uniqueArray(versionNumber, { minLength: 1, maxLength: 16 }),
      vaultId,
      nonce: hash,
      ephemeralKey: hash,
    }),
  ),
  ServerHello: door(
    proto.encodeServerHello,
    proto.decodeServerHello,
    fc.record<proto.ServerHello>({
      version: versionNumber,
      nonce: hash,
      ephemeralKey: hash,
      certificate: signed,
      signature,
    }),
  ),
  ClientFrame: door(proto.encodeClientFrame, proto.decodeClientFrame, clientFrame),
  ServerFrame: door(proto.encodeServerFrame, proto.decodeServerFrame, serverFrame),
  StoredCommit: door(
    proto.encodeStoredCommit,
    proto.decodeStoredCommit,
    fc.record<proto.StoredCommit>({
      ...{ commit: upTo(1, 200), leaf: upTo(1, 60), receipt: signed },
      facts: maybe(blockFacts),
    }),
  ),
  StoredEvent: door(
    proto.encodeStoredEvent,
    proto.decodeStoredEvent,
    fc.record<proto.StoredEvent>({ event: upTo(1, 200), leaf: upTo(1, 60) }),
  ),
  StoredUploads: door(
    proto.encodeStoredUploads,
    proto.decodeStoredUploads,
    fc.record<proto.StoredUploads>({ lineageId, ids }),
  ),
  StoredReferences: door(
    proto.encodeStoredReferences,
    proto.decodeStoredReferences,
    fc
      .record({
        lineageId,
        pages: ids,
        chunks: fc.array(
          fc.tuple(chunkId, fc.integer({ min: 1, max: proto.MAX_CHUNK_PLAIN_BYTES })),
        ),
      })
      .map(
        ({ chunks, ...record }): proto.StoredReferences => ({
          ...record,
          chunks: chunks.map(([id]) => id),
          plainSizes: chunks.map(([, size]) => size),
        }),
      ),
  ),
  StoredExpired: door(
    proto.encodeStoredExpired,
    proto.decodeStoredExpired,
    fc.record<proto.StoredExpired>({
      ...{ run: positive, part: fc.nat({ max: 2 ** 32 - 1 }), branchId: lineageId },
      agent: fc.constantFrom('hplc-1', 'x'),
      leaves: leafSlots,
    }),
  ),
  StoredDropped: door(
    proto.encodeStoredDropped,
    proto.decodeStoredDropped,
    fc.record<proto.StoredDropped>({
      run: fc.integer({ min: 1, max: 1_000_000 }),
      branchId: lineageId,
      leaves: leafSlots,
    }),
  ),
  StoredPurged: door(
    proto.encodeStoredPurged,
    proto.decodeStoredPurged,
    fc.record<proto.StoredPurged>({
      purgeId,
      part: fc.nat(),
      leafIndex: counter,
      slots: fc.uint8Array({ maxLength: 4 }).filter((slots) => slots.at(-1) !== 0),
      commit: fc.uint8Array({ minLength: 1, maxLength: 40 }),
    }),
  ),
  StoredSwept: door(
    proto.encodeStoredSwept,
    proto.decodeStoredSwept,
    fc.record<proto.StoredSwept>({
      ...{ lineageId, gcEpoch: positive, ids, unwalked: ids, isEnd: fc.boolean(), timeMs },
    }),
  ),
  StateRecord: door(
    proto.encodeStateRecord,
    proto.decodeStateRecord,
    fc
      .record({
        enrolment: signed,
        binding: signed,
        commit: upTo(1, 200),
        receipt: signed,
        live,
        time: timeMs,
      })
      .map(
        ({ time, ...record }): proto.StateRecord => ({
          ...record,
          versionTimesMs: record.live.map(() => time),
        }),
      ),
  ),
  HistoryCommit: door(
    proto.encodeHistoryCommit,
    proto.decodeHistoryCommit,
    fc
      .record({
        header: upTo(32, 200),
        signature,
        leafIndex: counter,
        receivedAtMs: timeMs,
        branchId: lineageId,
        summary: marks,
        lost: marks,
        lossHash: maybe(hash),
        dropped: marks,
      })
      .filter(
        ({ summary, lost, lossHash }) =>
          lossHash !== undefined || (summary.length > 0 && lost.length === 0),
      ),
  ),
};
