import{O as t,R as e}from"/assets/chunk-AWB3TDSP.js";var n=()=>t("twin")==="yes",i=()=>e({twin:n()?void 0:"yes"});export{n as a,i as b};
