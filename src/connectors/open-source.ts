import { csvSource } from './csv.ts';
import { parquetSource } from './parquet.ts';
import type { RowSource } from './port.ts';
import { postgresqlSource } from './postgresql.ts';
import type { LoginSetting, TableSetting } from './region-config.ts';
import { salesforceSource } from './salesforce.ts';
import type { SalesforceLogin } from './salesforce-login.ts';
import { readSecret, type SecretSetting } from './secret-setting.ts';

/**
 * The source that a setting means. Secrets are read here, nothing is connected yet.
 *
 * @param resolve - of paths, which are relative to the settings file.
 * @throws ConnectorError SECRET_MISSING, SECRET_EXPOSED.
 */
export function openSource(name: string, setting: TableSetting, resolve: (path: string) => string): RowSource {
  const secret = (place: SecretSetting, field: string): string => readSecret(place, `table ${name}, ${field}`, resolve);
  switch (setting.from) {
    case 'csv': {
      const { path, delimiter, encoding } = setting;
      return csvSource(name, { path: resolve(path), delimiter, encoding });
    }
    case 'parquet':
      return parquetSource(name, resolve(setting.path));
    case 'postgresql': {
      const { host, port, database, user, password, ca, query, timeoutSeconds } = setting;
      return postgresqlSource(name, {
        ...{ host, port, database, user, query },
        password: password === undefined ? null : secret(password, 'password'),
        caFile: ca === undefined ? null : resolve(ca),
        timeoutMs: timeoutSeconds * 1000,
      });
    }
    case 'salesforce': {
      const { login, loginUrl, version, query, leaveRequestsPercent, timeoutSeconds, proxy } = setting;
      const timeoutMs = timeoutSeconds * 1000;
      return salesforceSource(name, {
        ...{ loginUrl, version, query, leaveRequestsPercent, timeoutMs },
        proxy: proxy ?? null,
        login: loginOf(login, secret),
      });
    }
    default:
      return setting satisfies never;
  }
}

function loginOf(login: LoginSetting, secret: (place: SecretSetting, field: string) => string): SalesforceLogin {
  switch (login.flow) {
    case 'password': {
      const clientSecret = secret(login.clientSecret, 'login.clientSecret');
      return { ...login, clientSecret, password: secret(login.password, 'login.password') };
    }
    case 'jwt':
      return { ...login, privateKey: secret(login.privateKey, 'login.privateKey') };
    case 'refresh-token': {
      const clientSecret = login.clientSecret === undefined ? null : secret(login.clientSecret, 'login.clientSecret');
      return { ...login, clientSecret, refreshToken: secret(login.refreshToken, 'login.refreshToken') };
    }
    case 'client-credentials':
      return { ...login, clientSecret: secret(login.clientSecret, 'login.clientSecret') };
    case 'access-token':
      return { ...login, accessToken: secret(login.accessToken, 'login.accessToken') };
    default:
      return login satisfies never;
  }
}
