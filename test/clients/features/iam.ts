/** Users, roles and temporary credentials, as `aws` and boto3 make and use them. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { FeatureStore } from '../feature-store.ts';

/** Makes a user who may read below `in/` and assume a role that may write there; leaves nothing behind. */
const BOTO3 = `
import json, os, boto3
from botocore.exceptions import ClientError
E = os.environ['ENDPOINT']
def clients(*services, **keys):
    session = boto3.Session(region_name='us-east-1', **keys)
    return [session.client(s, endpoint_url=E) for s in services]
def refused(code, call, **kw):
    try:
        call(**kw)
    except ClientError as error:
        assert error.response['Error']['Code'] == code, error
        return
    raise AssertionError('not refused: ' + code)
def allow(action, resource, **more):
    return json.dumps({'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': action, 'Resource': resource, **more}]})

iam, sts, s3 = clients('iam', 'sts', 's3')
account = sts.get_caller_identity()['Account']
s3.create_bucket(Bucket='iam-boto3')
s3.put_object(Bucket='iam-boto3', Key='in/k', Body=b'x')
user = iam.create_user(UserName='boto', Path='/eng/')['User']
assert user['Arn'] == f'arn:aws:iam::{account}:user/eng/boto', user
iam.put_user_policy(UserName='boto', PolicyName='reads', PolicyDocument=allow(['s3:GetObject', 'iam:*AccessKey*'], ['arn:aws:s3:::iam-boto3/in/*', f'arn:aws:iam::{account}:user/eng/' + '\${aws:username}']))
assert iam.get_user_policy(UserName='boto', PolicyName='reads')['PolicyDocument']['Version'] == '2012-10-17'
key = iam.create_access_key(UserName='boto')['AccessKey']
mine = dict(aws_access_key_id=key['AccessKeyId'], aws_secret_access_key=key['SecretAccessKey'])
my_iam, my_sts, my_s3 = clients('iam', 'sts', 's3', **mine)
assert my_sts.get_caller_identity()['UserId'] == user['UserId']
assert my_s3.get_object(Bucket='iam-boto3', Key='in/k')['Body'].read() == b'x'
refused('AccessDenied', my_s3.put_object, Bucket='iam-boto3', Key='in/k', Body=b'y')
assert len(my_iam.list_access_keys()['AccessKeyMetadata']) == 1
refused('AccessDenied', my_iam.list_users)

trust = json.dumps({'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'AWS': user['Arn']}, 'Action': 'sts:AssumeRole', 'Condition': {'StringEquals': {'sts:ExternalId': 'e-1'}}}]})
role = iam.create_role(RoleName='boto-role', AssumeRolePolicyDocument=trust)['Role']
iam.put_role_policy(RoleName='boto-role', PolicyName='writes', PolicyDocument=allow('s3:*Object', 'arn:aws:s3:::iam-boto3/*'))
refused('AccessDenied', my_sts.assume_role, RoleArn=role['Arn'], RoleSessionName='test')
narrow = allow('s3:PutObject', 'arn:aws:s3:::iam-boto3/in/*')
made = my_sts.assume_role(RoleArn=role['Arn'], RoleSessionName='test', ExternalId='e-1', Policy=narrow, DurationSeconds=900)['Credentials']
as_role = dict(aws_access_key_id=made['AccessKeyId'], aws_secret_access_key=made['SecretAccessKey'], aws_session_token=made['SessionToken'])
role_s3, role_sts = clients('s3', 'sts', **as_role)
role_s3.put_object(Bucket='iam-boto3', Key='in/k', Body=b'role')
refused('AccessDenied', role_s3.put_object, Bucket='iam-boto3', Key='out', Body=b'role')
import urllib.request
url = role_s3.generate_presigned_url('put_object', Params={'Bucket': 'iam-boto3', 'Key': 'in/p'})
assert urllib.request.urlopen(urllib.request.Request(url, data=b'p', method='PUT')).status == 200
url = role_sts.generate_presigned_url('get_caller_identity', HttpMethod='GET')
assert b'assumed-role/boto-role/test' in urllib.request.urlopen(url).read()
refused('DeleteConflict', iam.delete_role, RoleName='boto-role')
iam.delete_role_policy(RoleName='boto-role', PolicyName='writes')
for page in iam.get_paginator('list_attached_role_policies').paginate(RoleName='boto-role'):
    assert page['AttachedPolicies'] == []
iam.delete_role(RoleName='boto-role')
refused('DeleteConflict', iam.delete_user, UserName='boto')
iam.delete_access_key(UserName='boto', AccessKeyId=key['AccessKeyId'])
iam.delete_user_policy(UserName='boto', PolicyName='reads')
iam.delete_user(UserName='boto')
refused('NoSuchEntity', iam.get_user, UserName='boto')
print('all good')
`;

export function iam(store: () => FeatureStore): void {
  describe('users and roles', () => {
    it('of boto3: what a user, a role and a session may do', async () => {
      const { stdout } = await store().python(BOTO3);
      assert.equal(stdout.trim(), 'all good');
    });

    it('of aws: a profile with role_arn assumes the role by itself', async () => {
      const { accessKeyId, secretAccessKey, endpoint, region, home } = store();
      const trust = {
        Version: '2012-10-17',
        Statement: [
          { Effect: 'Allow', Principal: { AWS: 'arn:aws:iam::root:root' }, Action: 'sts:AssumeRole' },
        ],
      };
      const create = ['create-role', '--role-name', 'aws-cli', '--assume-role-policy-document'];
      await store().aws(['iam', ...create, JSON.stringify(trust)]);
      const config = join(home, 'aws-role-config');
      writeFileSync(
        config,
        `[profile base]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n` +
          `[profile as-role]\nrole_arn = arn:aws:iam::root:role/aws-cli\nsource_profile = base\nregion = ${region}\n`,
      );
      const env = { AWS_CONFIG_FILE: config, AWS_ENDPOINT_URL: endpoint, AWS_EC2_METADATA_DISABLED: 'true' };
      const whoami = [
        'sts',
        'get-caller-identity',
        '--profile',
        'as-role',
        '--query',
        'Arn',
        '--output',
        'text',
      ];
      const { stdout } = await store().run('aws', whoami, { env });
      assert.match(stdout, /^arn:aws:sts::root:assumed-role\/aws-cli\/\S+$/m);
      await store().aws(['iam', 'delete-role', '--role-name', 'aws-cli']);
    });
  });
}
