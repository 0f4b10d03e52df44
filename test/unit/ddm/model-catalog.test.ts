/** The catalog's contract on the model that stands for Postgres in tests and simulations. */
import { catalogContract } from '../../contract/catalog-contract.ts';
import { clusterContract } from '../../contract/cluster-contract.ts';
import { ModelCatalog } from '../../model/model-catalog.ts';

const make = async () => {
  const catalog = new ModelCatalog();
  return { catalog, close: () => catalog.close() };
};
catalogContract('model', make);
clusterContract('model', make);
