/** The lifecycle job's contract, on the model. */
import { lifecycleContract } from '../../contract/lifecycle-contract.ts';
import { ModelLifecycle } from '../../model/model-lifecycle.ts';

let offsetMs = 0;
const catalog = new ModelLifecycle({ now: () => Date.now() + offsetMs });
const age = async (ms: number) => {
  offsetMs += ms;
};
lifecycleContract(() => ({ catalog, age }));
