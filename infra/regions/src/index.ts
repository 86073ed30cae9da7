// Several regions on one machine: for the tests of regions, and to be tried (start.ts).

export {
  type ClusterLayout,
  type Layout,
  type LayoutOptions,
  type LeafLayout,
  type LeafLayoutOptions,
  startClusters,
  startLeafRegions,
} from "./layouts.js";
export { type ServiceName, ServiceProcess } from "./service-process.js";
export { type LayoutName, type RegionStack, type RegionStackOptions, startRegionStack } from "./stack.js";
