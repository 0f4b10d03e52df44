/** The catalog's contract on the model that stands for Postgres in tests and simulations. */
import { catalogContract } from '../../contract/catalog-contract.ts';
import { ModelCatalog } from '../../model/model-catalog.ts';

catalogContract('model', async () => {
  const catalog = new ModelCatalog();
  return { catalog, close: () => catalog.close() };
});
