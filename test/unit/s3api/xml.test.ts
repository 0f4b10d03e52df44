import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../../../src/base/limits.ts';
import {
  readCompleteMultipartUpload,
  readCreateBucketConfiguration,
  readDelete,
  readTagging,
  readVersioningConfiguration,
} from '../../../src/s3api/documents.ts';
import { S3Error } from '../../../src/s3api/errors.ts';
import { escapeXml, tag, urlEncode, wrap, xmlDate, xmlDocument } from '../../../src/s3api/xml.ts';
import { leafText, parseXml } from '../../../src/s3api/xml-reader.ts';

const malformed = (read: () => unknown) =>
  assert.throws(read, (error) => error instanceof S3Error && error.code === 'MalformedXML');

describe('XML out', () => {
  it('carries every text that XML 1.0 can carry, through the reader and back', () => {
    const text = fc
      .string({ unit: 'binary', maxLength: 60 })
      .filter((s) => !/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/.test(s));
    fc.assert(
      fc.property(text, (key) => {
        assert.equal(leafText(parseXml(`<a>${escapeXml(key)}</a>`)), key);
      }),
    );
  });

  it('writes what XML 1.0 cannot carry as references, so that a strict parser refuses and none reads another key', () => {
    assert.equal(escapeXml('a\x01\ufffe'), 'a&#x1;&#xfffe;');
    malformed(() => parseXml(`<a>${escapeXml('\x01')}</a>`));
  });

  it('leaves out elements without a value', () => {
    assert.equal(
      tag('A', undefined) + tag('B', 0) + tag('C', false) + tag('D', ''),
      '<B>0</B><C>false</C><D></D>',
    );
    assert.equal(wrap('A', tag('B', '"<&>')), '<A><B>&quot;&lt;&amp;&gt;</B></A>');
    assert.match(xmlDocument('R', ''), /\?>\n<R xmlns="http:\/\/s3\.amazonaws\.com\/doc\/2006-03-01\/"\/>$/);
  });

  it('shows whole seconds', () =>
    assert.equal(xmlDate(new Date(1_700_000_000_987)), '2023-11-14T22:13:20.000Z'));
});

describe('encoding-type=url', () => {
  it('leaves letters, digits and - . _ * / alone', () => {
    const cases = [
      ['aZ09-._*/', 'aZ09-._*/'],
      ['a b+c', 'a%20b%2Bc'],
      ["test_file(3)!'~.png", 'test_file%283%29%21%27%7E.png'],
      ['한\x01', '%ED%95%9C%01'],
      ['100%', '100%25'],
    ] as const;
    for (const [text, encoded] of cases) assert.equal(urlEncode(text), encoded);
  });

  it('is undone by every decoder', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        assert.equal(decodeURIComponent(urlEncode(text)), text);
        assert.equal(new URLSearchParams(`v=${urlEncode(text)}`).get('v'), text);
      }),
    );
  });
});

describe('the XML reader', () => {
  it('refuses DTDs, entities, broken and endless documents', () => {
    const documents = [
      '',
      ' ',
      'text',
      '<a>',
      '<a></b>',
      '<a/><b/>',
      '<!DOCTYPE a><a/>',
      '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
      '<a>&unknown;</a>',
      '<a>&#0;</a>',
      '<a b=c/>',
      `${'<a>'.repeat(20_000)}${'</a>'.repeat(20_000)}`,
      `<a>${'<b/>'.repeat(LIMITS.xmlElementsMax)}</a>`,
      `<a>${' '.repeat(LIMITS.xmlBytesMax)}</a>`,
    ];
    for (const document of documents) malformed(() => parseXml(document));
  });

  it('never fails in another way, whatever it is given', () => {
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.constantFrom('<', '>', '/', 'a', '&', ';', '"', '=', '!', '?', '-', '[', ']', ' '),
        }),
        (text) => {
          try {
            parseXml(text);
          } catch (error) {
            assert.ok(error instanceof S3Error && error.code === 'MalformedXML', String(error));
          }
        },
      ),
    );
  });

  it('takes any namespace, prefixes, CDATA and a byte order mark', () => {
    const document =
      '\ufeff<?xml version="1.0"?><!-- c --><x:a xmlns:x="urn:y"><x:b><![CDATA[<&]]>z</x:b></x:a>';
    const root = parseXml(document);
    assert.equal(root.name, 'a');
    assert.equal(leafText(root.children[0]!), '<&z');
  });
});

describe('CompleteMultipartUpload', () => {
  const part = (inner: string) => `<CompleteMultipartUpload><Part>${inner}</Part></CompleteMultipartUpload>`;
  it('gives numbers, ETags without quotes, checksums', () => {
    const parts = readCompleteMultipartUpload(
      '<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Part><PartNumber>00123</PartNumber>' +
        '<ETag>&quot;abc&quot;</ETag><ChecksumCRC32>AAAA</ChecksumCRC32></Part><Part>\n<ETag>d</ETag><PartNumber> 2 </PartNumber></Part></CompleteMultipartUpload>',
    );
    assert.deepEqual(parts, [
      { partNumber: 123, etag: 'abc', checksums: { CRC32: 'AAAA' } },
      { partNumber: 2, etag: 'd', checksums: {} },
    ]);
  });

  it('refuses everything else', () => {
    malformed(() => readCompleteMultipartUpload('<CompleteMultipartUpload/>'));
    malformed(() => readCompleteMultipartUpload('<Other><Part/></Other>'));
    malformed(() => readCompleteMultipartUpload(part('<PartNumber>1</PartNumber>')));
    for (const number of ['', 'x', '-1', '1.5', '1e3', '99999999999999999999'])
      malformed(() => readCompleteMultipartUpload(part(`<PartNumber>${number}</PartNumber><ETag>a</ETag>`)));
    const twice = '<PartNumber>1</PartNumber><PartNumber>2</PartNumber><ETag>a</ETag>';
    malformed(() => readCompleteMultipartUpload(part(twice)));
    malformed(() => readCompleteMultipartUpload(part('<PartNumber>1</PartNumber><ETag>a</ETag><Foo/>')));
  });

  it('has room for 10,000 parts with their checksums', () => {
    const one = `<Part><ETag>&quot;${'a'.repeat(32)}&quot;</ETag><PartNumber>10000</PartNumber><ChecksumSHA256>${'A'.repeat(44)}</ChecksumSHA256></Part>`;
    const text = `<CompleteMultipartUpload>${one.repeat(10_000)}</CompleteMultipartUpload>`;
    assert.equal(readCompleteMultipartUpload(text).length, 10_000);
  });
});

describe('Delete', () => {
  it('keeps keys exactly as written', () => {
    const { quiet, objects } = readDelete(
      '<Delete><Quiet>true</Quiet><Object><Key> a &lt;b&gt;&#13; </Key><VersionId>v</VersionId></Object>' +
        '<Object><Key>c</Key><ETag>"e"</ETag><Size>5</Size><LastModifiedTime>2026-01-01T00:00:00Z</LastModifiedTime></Object></Delete>',
    );
    assert.equal(quiet, true);
    assert.deepEqual(objects, [
      { key: ' a <b>\r ', versionId: 'v' },
      { key: 'c', etag: 'e', size: 5, lastModified: new Date('2026-01-01T00:00:00Z') },
    ]);
  });

  it('takes 1 to 1,000 objects', () => {
    const text = (count: number) => `<Delete>${'<Object><Key>k</Key></Object>'.repeat(count)}</Delete>`;
    assert.equal(readDelete(text(1000)).objects.length, 1000);
    malformed(() => readDelete(text(0)));
    malformed(() => readDelete(text(1001)));
    malformed(() => readDelete('<Delete><Object><Key></Key></Object></Delete>'));
    malformed(() => readDelete('<Delete><Object/></Delete>'));
  });
});

describe('settings of buckets and objects', () => {
  it('reads CreateBucketConfiguration, which may be missing', () => {
    assert.deepEqual(readCreateBucketConfiguration(''), { asksForMore: false, tags: [] });
    const named =
      '<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>';
    assert.deepEqual(readCreateBucketConfiguration(named), {
      locationConstraint: 'eu-west-1',
      asksForMore: false,
      tags: [],
    });
    const tagged =
      '<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></CreateBucketConfiguration>';
    assert.deepEqual(readCreateBucketConfiguration(tagged), { asksForMore: false, tags: [['a', 'b']] });
    const elsewhere =
      '<CreateBucketConfiguration><Location><Name>x</Name></Location></CreateBucketConfiguration>';
    assert.equal(readCreateBucketConfiguration(elsewhere).asksForMore, true);
    malformed(() =>
      readCreateBucketConfiguration('<CreateBucketConfiguration><Foo/></CreateBucketConfiguration>'),
    );
  });

  it('reads VersioningConfiguration', () => {
    const of = (inner: string) =>
      readVersioningConfiguration(`<VersioningConfiguration>${inner}</VersioningConfiguration>`);
    assert.deepEqual(of('<Status>Enabled</Status>'), { status: 'Enabled', mfaDelete: false });
    assert.equal(of('<MfaDelete>Enabled</MfaDelete><Status>Suspended</Status>').mfaDelete, true);
    malformed(() => of(''));
    malformed(() => of('<Status>enabled</Status>'));
  });

  it('reads Tagging', () => {
    const of = (inner: string) => readTagging(`<Tagging><TagSet>${inner}</TagSet></Tagging>`);
    assert.deepEqual(of(''), []);
    assert.deepEqual(of('<Tag><Key>a</Key><Value></Value></Tag>'), [['a', '']]);
    malformed(() => of('<Tag><Key>a</Key></Tag>'));
    malformed(() => readTagging('<Tagging/>'));
  });
});
