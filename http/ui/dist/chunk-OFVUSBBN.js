import{N as t,Q as e}from"/assets/chunk-DBW2KOHK.js";var n=()=>t("twin")==="yes",i=()=>e({twin:n()?void 0:"yes"});export{n as a,i as b};
