//! Namespaces, the lines between them, and NATs.

use std::fmt::Write as _;
use std::fs;

use super::failure::Failure;
use super::plan::{Plan, Uplink, gateway, outer};
use super::tool::{run, within};

/// The device of the line: whatever goes from one site to another goes through it once.
pub(crate) const WIRE: &str = "wire";
/// The table of routes that lead into it.
const TABLE: u32 = 77;
/// The address of a router in its local network.
const ROUTER: &str = "192.168.1.1";

/// The namespace of a router.
fn router(site: usize) -> String {
    format!("router-{site}")
}

/// Builds all of a plan. The namespace that this runs in becomes the internet; [`connect`] puts the line into it.
pub(crate) fn build(plan: &Plan) -> Result<(), Failure> {
    // Names of namespaces live here; nobody else sees it.
    run("mount", &["-t", "tmpfs", "lab", "/run"], "")?;
    let mut internet = "link set lo up\n".to_owned();
    let mut inside: Vec<(String, String)> = Vec::new();
    for (site, uplink) in plan.uplinks.iter().enumerate() {
        let places = || plan.places.iter().filter(move |place| place.site == site);
        let mut line = |namespace: &str, device: &str| {
            let _ = writeln!(internet, "link add site-{site} type veth peer name {device} netns {namespace}");
            let _ = writeln!(internet, "addr add {}/24 dev site-{site}", gateway(site));
            let _ = writeln!(internet, "link set site-{site} up");
        };
        let up = |device: &str| {
            format!(
                "link set lo up\naddr add {}/24 dev {device}\nlink set {device} up\nroute add default via {}\n",
                outer(site),
                gateway(site)
            )
        };
        for place in places() {
            run("ip", &["netns", "add", &place.name], "")?;
        }
        if *uplink == Uplink::Public {
            for place in places() {
                line(&place.name, "eth0");
                inside.push((place.name.clone(), up("eth0")));
            }
            continue;
        }
        let router = router(site);
        run("ip", &["netns", "add", &router], "")?;
        let mut batch = "link set lo up\n".to_owned();
        if *uplink != Uplink::None {
            line(&router, "wan");
            batch = up("wan");
        }
        let _ = writeln!(batch, "link add lan type bridge mcast_snooping 0");
        let _ = writeln!(batch, "addr add {ROUTER}/24 dev lan\nlink set lan up");
        for (index, place) in places().enumerate() {
            let _ = writeln!(batch, "link add port-{index} type veth peer name eth0 netns {}", place.name);
            let _ = writeln!(batch, "link set port-{index} master lan up");
            let own = format!(
                "link set lo up\naddr add {}/24 dev eth0\nlink set eth0 up\nroute add default via {ROUTER}\n",
                place.address
            );
            inside.push((place.name.clone(), own));
        }
        // Routers first: what they lead to has to be there.
        inside.insert(0, (router, batch));
    }
    run("ip", &["-batch", "-"], &internet)?;
    for (namespace, batch) in &inside {
        run("ip", &["-n", namespace, "-batch", "-"], batch)?;
    }
    for (site, uplink) in plan.uplinks.iter().enumerate().filter(|(_, uplink)| uplink.is_nat()) {
        let [program, place] = within(&router(site));
        run(&program, &[&place, "nft", "-f", "-"], &nat(*uplink))?;
        let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
        run(&program, &[&place, "sh", "-c", forward], "")?;
    }
    Ok(())
}

/// Leads everything between sites through the device of the line, which is there.
pub(crate) fn connect() -> Result<(), Failure> {
    for file in
        ["ip_forward", "conf/all/rp_filter", "conf/default/rp_filter", &format!("conf/{WIRE}/rp_filter")]
    {
        let value = if file == "ip_forward" { "1" } else { "0" };
        let file = format!("/proc/sys/net/ipv4/{file}");
        fs::write(&file, value).map_err(Failure::io(file))?;
    }
    // What comes out of the line goes to its site; everything else goes into it.
    let batch = format!(
        "link set {WIRE} up\nrule add pref 10 iif {WIRE} lookup main\nrule add pref 20 lookup {TABLE}\n\
         route add default dev {WIRE} table {TABLE}\n"
    );
    run("ip", &["-batch", "-"], &batch)
}

/// The rules of a router: it hides its machines, and answers nobody who was not spoken to.
fn nat(uplink: Uplink) -> String {
    let ports = if uplink == Uplink::Symmetric { " fully-random" } else { "" };
    format!(
        r#"
table ip lab {{
  chain out {{
    type nat hook postrouting priority srcnat
    oifname "wan" masquerade{ports}
  }}
  chain self {{
    type filter hook input priority filter
    iifname "wan" ct state new drop
  }}
  chain through {{
    type filter hook forward priority filter
    iifname "wan" ct state new drop
    iifname "wan" ct state invalid drop
  }}
}}
"#
    )
}
